"""Schema version 0011: closes and their lines, and the close of an idempotency record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text("finished_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "closes",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("id", sa.String(length=18), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=True),
        sa.Column("symbol", sa.String(length=64), nullable=True),
        sa.Column("product", sa.String(length=16), nullable=True),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("limit_price", types.Scaled(), nullable=True),
        sa.Column("quantity", types.Scaled(), nullable=True),
        sa.Column("share", types.Scaled(), nullable=True),
        sa.Column("trades_up_to", sa.BigInteger(), nullable=False),
        sa.Column("orders_up_to", sa.BigInteger(), nullable=True),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.Column("finished_at", types.UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_closes")),
        sa.UniqueConstraint("id", name=op.f("uq_closes_id")),
    )
    op.create_index(
        "ix_closes_unfinished",
        "closes",
        ["account", "seq"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    op.create_index("ix_closes_finished_at", "closes", ["finished_at"])
    op.create_table(
        "close_lines",
        sa.Column("close_id", sa.String(length=18), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=16), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("held", types.Scaled(), nullable=False),
        sa.Column("quantity", types.Scaled(), nullable=False),
        sa.Column("denies_entries", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("order_ids", types.Json(), nullable=False),
        sa.Column("watched_ids", types.Json(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("retry_at", types.UtcTime(), nullable=True),
        sa.Column("updated_at", types.UtcTime(), nullable=False),
        sa.Column("finished_at", types.UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("close_id", "strategy", "symbol", "product", name=op.f("pk_close_lines")),
    )
    op.create_index(
        "ix_close_lines_unfinished",
        "close_lines",
        ["account", "strategy", "symbol", "product", "denies_entries"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    op.create_index("ix_close_lines_finished_at", "close_lines", ["finished_at"])
    op.add_column("replies", sa.Column("close_id", sa.String(length=18), nullable=True))
