"""Tables of market data by venue: instruments and their latest quotes.

A venue is a broker, by its name, or the generated market of a paper account, by the account's name. The
tables without a venue are those of releases that had one market. A rollback to such a release reads them
again, so they stay until no release can be rolled back to one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Boolean, Column, Date, String, Table

from algosat.store.tables.base import metadata
from algosat.store.types import Json, Scaled, UtcTime


def _instrument() -> list[Column[Any]]:
    return [
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
    ]


def _of_other_markets() -> list[Column[Any]]:
    """Return what releases with one market do not know of an instrument; NULL for the shares they list."""
    return [
        Column("minimum_quantity", Scaled),
        Column("minimum_notional", Scaled),
        Column("currency", String(10)),
        Column("base_currency", String(10)),
    ]


def _former_instrument() -> list[Column[Any]]:
    """Return one column for all properties, so that a new property needs no migration here."""
    return [Column("data", Json, nullable=False)]


def _quote() -> list[Column[Any]]:
    amounts = (
        "last", "bid", "ask", "bid_quantity", "ask_quantity", "volume",
        "open", "high", "low", "lower_circuit", "upper_circuit",
    )  # fmt: skip
    return [
        Column("at", UtcTime, nullable=False),
        *(Column(name, Scaled, nullable=False) for name in amounts),
    ]


def _closing_price() -> list[Column[Any]]:
    return [
        Column("day", Date, nullable=False),  # the trading day of the price
        Column("price", Scaled, nullable=False),
    ]


def _by_venue(
    name: str,
    columns: Callable[[], list[Column[Any]]],
    later: Callable[[], list[Column[Any]]] = list,
) -> Table:
    """Return the table of all venues, and declare the one without a venue that it replaces.

    `later` returns the columns that only the table of all venues has.
    """
    Table(name, metadata, Column("symbol", String(64), primary_key=True), *columns())
    return Table(
        f"venue_{name}",
        metadata,
        Column("venue", String(64), primary_key=True),
        Column("symbol", String(64), primary_key=True),
        *columns(),
        *later(),
    )


instruments = _by_venue("instruments", _instrument, _of_other_markets)
# Instruments that the broker no longer lists although a position in them is open: the gate checks exits
# against them.
former_instruments = _by_venue("former_instruments", _former_instrument)
quotes = _by_venue("quotes", _quote)
# The last price of a symbol before the trading day of its quote. The day's profit or loss begins there.
closing_prices = _by_venue("closing_prices", _closing_price)
