"""Tables of market data: instruments and their latest quotes."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, String, Table

from algosat.store.tables.base import metadata
from algosat.store.types import Json, Scaled, UtcTime

instruments = Table(
    "instruments",
    metadata,
    Column("symbol", String(64), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("segment", String(32), nullable=False),
    Column("tick", Scaled, nullable=False),
    Column("lot", Scaled, nullable=False),
    Column("freeze_quantity", Scaled, nullable=False),
    Column("has_derivatives", Boolean, nullable=False),
    Column("expiry", Date),
    # Of contracts that expire; NULL for all other instruments.
    Column("underlying", String(64)),
    Column("strike", Scaled),
    Column("option_type", String(8)),
    Column("settlement", String(16)),
)

# Instruments that the broker no longer lists although a position in them is open: the gate checks exits
# against them. All properties are in one column, so that a new property needs no migration here.
former_instruments = Table(
    "former_instruments",
    metadata,
    Column("symbol", String(64), primary_key=True),
    Column("data", Json, nullable=False),
)

quotes = Table(
    "quotes",
    metadata,
    Column("symbol", String(64), primary_key=True),
    Column("at", UtcTime, nullable=False),
    *(
        Column(name, Scaled, nullable=False)
        for name in (
            "last", "bid", "ask", "bid_quantity", "ask_quantity", "volume",
            "open", "high", "low", "lower_circuit", "upper_circuit",
        )
    ),
)  # fmt: skip

# The last price of a symbol before the trading day of its quote. The day's profit or loss begins there.
closing_prices = Table(
    "closing_prices",
    metadata,
    Column("symbol", String(64), primary_key=True),
    Column("day", Date, nullable=False),  # the trading day of the price
    Column("price", Scaled, nullable=False),
)
