"""What the paper exchange lists, from `listings.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Any, Final

import yaml

from algosat.domain.instruments import Instrument, InstrumentKind

EQUITY: Final = "equity"  # the calendar's names of the two segments
DERIVATIVES: Final = "derivatives"

# (price below which, tick) of shares and of futures on them, by the month-end close; then of index futures.
_TICKS: Final = (
    (Decimal(250), Decimal("0.01")),
    (Decimal(1000), Decimal("0.05")),
    (Decimal(5000), Decimal("0.10")),
    (Decimal(10000), Decimal("0.50")),
    (Decimal(20000), Decimal("1.00")),
    (Decimal("Infinity"), Decimal("5.00")),
)
_INDEX_TICKS: Final = (
    (Decimal("15000.01"), Decimal("0.05")),  # up to and with 15,000
    (Decimal("30000.01"), Decimal("0.10")),
    (Decimal("Infinity"), Decimal("0.20")),
)
# The cash market knows no freeze by quantity; this keeps the gate's check of it true to a big order.
_EQUITY_FREEZE: Final = Decimal(100_000)


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument, and what its synthetic market is like."""

    instrument: Instrument
    price: Decimal  # where it begins, and what it leans back to
    daily_volume: int
    volatility: float  # per year; of a future: that of what it stands on
    band_percent: Decimal  # the daily circuit, up and down from the last close
    underlying: tuple[str, ...] = ()  # of a future; several make an index
    basis: float = 0.0  # a future's distance from it

    @property
    def has_derivatives(self) -> bool:
        return self.instrument.has_derivatives

    @property
    def symbol(self) -> str:
        return self.instrument.symbol


Universe = Mapping[str, Listing]


def packaged() -> Universe:
    """The universe of this release; what stands under a future comes before it."""
    return read(yaml.safe_load(files("algosat.exchange").joinpath("listings.yaml").read_text("utf-8")))


def read(data: Mapping[str, Any]) -> Universe:
    with_derivatives = {
        symbol for future in data["futures"] for symbol in future["of"] if len(future["of"]) == 1
    }
    equities = [_equity(entry, entry["symbol"] in with_derivatives) for entry in data["equities"]]
    futures = [_future(entry) for entry in data["futures"]]
    return {listing.symbol: listing for listing in (*equities, *futures)}


def tick_for(price: Decimal, *, index: bool = False) -> Decimal:
    """The exchange's tick for a month-end close of `price`."""
    return next(tick for below, tick in (_INDEX_TICKS if index else _TICKS) if price < below)


def _equity(entry: Mapping[str, Any], has_derivatives: bool) -> Listing:
    price = Decimal(entry["price"])
    return Listing(
        instrument=Instrument(
            symbol=entry["symbol"],
            name=entry["name"],
            kind=InstrumentKind.EQUITY,
            segment=EQUITY,
            tick=tick_for(price),
            lot=Decimal(1),
            freeze_quantity=_EQUITY_FREEZE,
            has_derivatives=has_derivatives,
        ),
        price=price,
        daily_volume=entry["volume"],
        volatility=entry["volatility"],
        band_percent=Decimal(entry["band"]),
    )


def _future(entry: Mapping[str, Any]) -> Listing:
    price = Decimal(entry["price"])
    return Listing(
        instrument=Instrument(
            symbol=entry["symbol"],
            name=entry["name"],
            kind=InstrumentKind.FUTURE,
            segment=DERIVATIVES,
            tick=tick_for(price, index=entry.get("index", False)),
            lot=Decimal(entry["lot"]),
            freeze_quantity=Decimal(entry["freeze"]),
        ),
        price=price,
        daily_volume=entry["volume"],
        volatility=0.0,
        band_percent=Decimal(entry["band"]),
        underlying=tuple(entry["of"]),
        basis=entry["basis"],
    )
