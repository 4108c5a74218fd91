"""Schema version 0010: the slices of an order refer to their first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("slice_of", sa.String(length=18), nullable=True))
    op.create_index(
        "ix_orders_slices",
        "orders",
        ["account", "created_at", "strategy"],
        unique=False,
        sqlite_where=sa.text("slice_of IS NOT NULL"),
        postgresql_where=sa.text("slice_of IS NOT NULL"),
    )
