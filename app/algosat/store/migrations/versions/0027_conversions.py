"""Conversions of positions, and those that the paper exchange has made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_UNDER_WAY = sa.text("finished_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "conversions",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("id", sa.String(length=18), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("target", sa.String(length=16), nullable=False),
        sa.Column("quantity", types.Scaled(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=64)),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("source_excess", types.Scaled()),
        sa.Column("target_excess", types.Scaled()),
        sa.Column("source_order_id", sa.String(length=18)),
        sa.Column("target_order_id", sa.String(length=18)),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.Column("updated_at", types.UtcTime(), nullable=False),
        sa.Column("sent_at", types.UtcTime()),
        sa.Column("finished_at", types.UtcTime()),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_conversions")),
        sa.UniqueConstraint("id", name=op.f("uq_conversions_id")),
    )
    op.create_index(
        "ix_conversions_under_way",
        "conversions",
        ["account", "symbol"],
        unique=True,
        sqlite_where=_UNDER_WAY,
        postgresql_where=_UNDER_WAY,
    )
    op.create_index("ix_conversions_finished_at", "conversions", ["finished_at"])
    op.create_table(
        "paper_conversions",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("target", sa.String(length=16), nullable=False),
        sa.Column("quantity", types.Scaled(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("account", "number", name=op.f("pk_paper_conversions")),
    )
