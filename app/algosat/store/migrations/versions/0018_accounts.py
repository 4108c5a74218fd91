"""Schema version 0018: several accounts.

Paper accounts beside the first one have exchange tables with an account; strategies say on which account they
trade; live accounts are armed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account_paper_orders",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("quantity", types.Scaled(), nullable=False),
        sa.Column("filled_quantity", types.Scaled(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("placed_at", types.UtcTime(), nullable=False),
        sa.Column("updated_at", types.UtcTime(), nullable=False),
        sa.Column("data", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("account", "id", name=op.f("pk_account_paper_orders")),
    )
    for column in ("tag", "day"):
        op.create_index(f"ix_account_paper_orders_{column}", "account_paper_orders", ["account", column])
    op.create_table(
        "account_paper_trades",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("quantity", types.Scaled(), nullable=False),
        sa.Column("price", types.Scaled(), nullable=False),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("account", "id", name=op.f("pk_account_paper_trades")),
    )
    op.create_index("ix_account_paper_trades_order_id", "account_paper_trades", ["account", "order_id"])
    op.create_table(
        "account_paper_state",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.Column("data", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("account", "name", name=op.f("pk_account_paper_state")),
    )
    op.create_table(
        "account_arming",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("is_armed", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_at", types.UtcTime(), nullable=False),
        sa.Column("changed_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_account_arming")),
    )
    op.add_column("strategies", sa.Column("account", sa.String(length=64)))
