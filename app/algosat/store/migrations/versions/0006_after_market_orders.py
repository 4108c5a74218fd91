"""Schema version 0006: the trading session of an order, and when an after-market order is sent.

A release that does not know `send_at` rejects waiting orders, since they are older than its send deadline.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "orders", sa.Column("session", sa.String(length=16), nullable=False, server_default="regular")
    )
    op.add_column("orders", sa.Column("send_at", types.UtcTime(), nullable=True))
    op.create_index(
        "ix_orders_created",
        "orders",
        ["account", "send_at", "seq"],
        unique=False,
        sqlite_where=sa.text("status = 'created'"),
        postgresql_where=sa.text("status = 'created'"),
    )
