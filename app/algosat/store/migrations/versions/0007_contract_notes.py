"""The turnover on the day's contract notes, and the note that each trade is on.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0007"
down_revision = "0006"

_AMOUNTS = (
    "bought",
    "sold",
    "delivered_bought",
    "delivered_sold",
    "brokerage",
    "delivery_buy_quantity",
    "delivery_buy_value",
    "delivery_sell_quantity",
    "delivery_sell_value",
    "delivery_brokerage",
    "same_day_brokerage",
)


def upgrade() -> None:
    op.create_table(
        "contract_notes",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("note", sa.String(length=32), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        *(sa.Column(name, types.Scaled(), nullable=False) for name in _AMOUNTS),
        sa.PrimaryKeyConstraint("account", "day", "note", "symbol", name=op.f("pk_contract_notes")),
    )
    op.add_column("trades", sa.Column("note", sa.String(length=32), nullable=True))
