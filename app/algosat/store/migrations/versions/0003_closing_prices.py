"""Schema version 0003: the closing price of each symbol, from which the day's loss is measured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "closing_prices",
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("price", types.Scaled(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", name=op.f("pk_closing_prices")),
    )
