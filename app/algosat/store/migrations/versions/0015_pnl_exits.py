"""P&L exits of strategies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pnl_exits",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("profit_target", types.Scaled()),
        sa.Column("loss_limit", types.Scaled()),
        sa.Column("set_at", types.UtcTime(), nullable=False),
        sa.Column("set_by", sa.String(length=128), nullable=False),
        sa.Column("reached_on", sa.Date()),
        sa.Column("outcome", sa.String(length=16)),
        sa.Column("halted_at", types.UtcTime()),
        sa.PrimaryKeyConstraint("account", "strategy", name=op.f("pk_pnl_exits")),
    )
