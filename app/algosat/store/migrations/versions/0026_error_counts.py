"""Schema version 0026: errors by component and interval, recoveries, and the requests of each interval."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("errors", sa.Column("component", sa.String(length=32)))
    op.add_column("errors", sa.Column("release", sa.String(length=64)))
    op.create_table(
        "error_counts",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("milliseconds", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "at", name=op.f("pk_error_counts")),
    )
    op.create_index(op.f("ix_error_counts_at"), "error_counts", ["at"])
    op.create_table(
        "recoveries",
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("place", sa.String(length=128), nullable=False),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("milliseconds", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("action", "place", "at", name=op.f("pk_recoveries")),
    )
    op.create_index(op.f("ix_recoveries_at"), "recoveries", ["at"])
    op.create_table(
        "request_counts",
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("milliseconds", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("at", name=op.f("pk_request_counts")),
    )
