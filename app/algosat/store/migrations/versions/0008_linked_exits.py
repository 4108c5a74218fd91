"""Linked exits (OCO pairs, brackets, trailing stops) and their orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "linked_exits",
        sa.Column("id", sa.String(length=18), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=16), nullable=False),
        sa.Column("algo_id", sa.String(length=64)),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("trigger_price", types.Scaled()),
        sa.Column("limit_price", types.Scaled()),
        sa.Column("target_price", types.Scaled()),
        sa.Column("trail_amount", types.Scaled()),
        sa.Column("trail_percent", types.Scaled()),
        sa.Column("quantity", types.Scaled(), nullable=False),
        sa.Column("entered", types.Scaled(), nullable=False),
        sa.Column("entry_id", sa.String(length=18)),
        sa.Column("order_id", sa.String(length=18)),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", types.UtcTime()),
        sa.Column("outcome", sa.String(length=32)),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.Column("updated_at", types.UtcTime(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_linked_exits")),
    )
    op.create_index(
        "ix_linked_exits_active",
        "linked_exits",
        ["account"],
        sqlite_where=sa.text("state != 'ended'"),
        postgresql_where=sa.text("state != 'ended'"),
    )
    op.create_table(
        "linked_orders",
        sa.Column("order_id", sa.String(length=18), nullable=False),
        sa.Column("exit_id", sa.String(length=18), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_linked_orders")),
    )
    op.create_index("ix_linked_orders_exit_id", "linked_orders", ["exit_id"])
