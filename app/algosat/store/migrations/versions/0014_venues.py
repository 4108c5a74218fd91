"""Schema version 0014: instruments and prices by venue.

The market that the store has is that of the account `paper`. The tables without a venue stay for a rollback.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

Columns = Callable[[], list[sa.Column[Any]]]


def upgrade() -> None:
    for name, columns in _TABLES.items():
        op.create_table(
            f"venue_{name}",
            sa.Column("venue", sa.String(length=64), nullable=False),
            sa.Column("symbol", sa.String(length=64), nullable=False),
            *columns(),
            sa.PrimaryKeyConstraint("venue", "symbol", name=op.f(f"pk_venue_{name}")),
        )
        names = ["symbol", *(column.name for column in columns())]
        before = sa.table(name, *map(sa.column, names))
        now = sa.table(f"venue_{name}", *map(sa.column, ("venue", *names)))
        rows = sa.select(sa.literal_column("'paper'"), *before.c)
        op.execute(now.insert().from_select(["venue", *names], rows))


def _instruments() -> list[sa.Column[Any]]:
    return [
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("segment", sa.String(length=32), nullable=False),
        sa.Column("tick", types.Scaled(), nullable=False),
        sa.Column("lot", types.Scaled(), nullable=False),
        sa.Column("freeze_quantity", types.Scaled(), nullable=False),
        sa.Column("has_derivatives", sa.Boolean(), nullable=False),
        sa.Column("expiry", sa.Date()),
        sa.Column("underlying", sa.String(length=64)),
        sa.Column("strike", types.Scaled()),
        sa.Column("option_type", sa.String(length=8)),
        sa.Column("settlement", sa.String(length=16)),
    ]


def _former_instruments() -> list[sa.Column[Any]]:
    return [sa.Column("data", types.Json(), nullable=False)]


def _quotes() -> list[sa.Column[Any]]:
    amounts = (
        "last", "bid", "ask", "bid_quantity", "ask_quantity", "volume",
        "open", "high", "low", "lower_circuit", "upper_circuit",
    )  # fmt: skip
    return [
        sa.Column("at", types.UtcTime(), nullable=False),
        *(sa.Column(name, types.Scaled(), nullable=False) for name in amounts),
    ]


def _closing_prices() -> list[sa.Column[Any]]:
    return [
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("price", types.Scaled(), nullable=False),
    ]


_TABLES: dict[str, Columns] = {
    "instruments": _instruments,
    "former_instruments": _former_instruments,
    "quotes": _quotes,
    "closing_prices": _closing_prices,
}
