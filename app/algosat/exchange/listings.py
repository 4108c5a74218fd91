"""The listings of the simulated exchange that never expire, from `listings.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from importlib.resources import files
from typing import Any, Final

import yaml

from algosat.domain.instruments import Instrument, InstrumentKind
from algosat.domain.orders import Side

EQUITY: Final = "equity"  # segments, as the calendar names them
DERIVATIVES: Final = "derivatives"
SPOT: Final = "spot"

# Upper end of a price band, exclusive, and its tick, by the month-end close. Shares and futures on them:
_TICKS: Final = (
    (Decimal(250), Decimal("0.01")),
    (Decimal(1000), Decimal("0.05")),
    (Decimal(5000), Decimal("0.10")),
    (Decimal(10000), Decimal("0.50")),
    (Decimal(20000), Decimal("1.00")),
    (Decimal("Infinity"), Decimal("5.00")),
)
# Index futures:
_INDEX_TICKS: Final = (
    (Decimal("15000.01"), Decimal("0.05")),  # up to and including 15,000
    (Decimal("30000.01"), Decimal("0.10")),
    (Decimal("Infinity"), Decimal("0.20")),
)
# The cash market has no freeze quantity. This one lets large orders be sliced as derivatives are.
_EQUITY_FREEZE: Final = Decimal(100_000)
_SMALLEST_FEE: Final = Decimal("0.00000001")
SPREAD: Final = Decimal("0.0003")  # between bid and ask, as a share of the price


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument, and the parameters of its synthetic market."""

    instrument: Instrument
    price: Decimal  # the initial price, to which the walk reverts
    daily_volume: int
    volatility: float  # per year; of an option, what its price implies; 0 for a future
    band_percent: Decimal  # distance of the daily circuit limits from the last close
    underlying: tuple[str, ...] = ()  # of a future or option; several symbols form an index
    basis: float = 0.0  # distance of a future from its underlying; with an expiry, a year before it
    spread: Decimal = SPREAD  # between bid and ask, as a share of the price; at least one tick
    turn: int = 0  # of an option: the steps at which its price moves, see `random_walk`
    fee: TradeFee | None = None  # None: trades state no fee

    @property
    def has_derivatives(self) -> bool:
        return self.instrument.has_derivatives

    @property
    def symbol(self) -> str:
        return self.instrument.symbol


Universe = Mapping[str, Listing]


@dataclass(frozen=True, slots=True)
class TradeFee:
    """What the venue keeps of each trade and states with it."""

    rate: Decimal  # as a share of the trade's value
    currency: str | None  # None: of what the trade brings: a purchase the coins, a sale the money
    price: Decimal = Decimal(1)  # of one unit of `currency`

    def of(self, instrument: Instrument, side: Side, quantity: Decimal, price: Decimal) -> TradeFeeAmount:
        """Return the fee of a trade, rounded up, and its currency."""
        if self.currency is not None:
            return _rounded(quantity * price * self.rate / self.price), self.currency
        if side is Side.BUY:
            return _rounded(quantity * self.rate), instrument.base_currency
        return _rounded(quantity * price * self.rate), instrument.currency


TradeFeeAmount = tuple[Decimal, str | None]


def _rounded(fee: Decimal) -> Decimal:
    return fee.quantize(_SMALLEST_FEE, ROUND_CEILING)


def packaged() -> Universe:
    """Return the listings of this release that never expire. Underlyings come before their futures."""
    return read(yaml.safe_load(files("algosat.exchange").joinpath("listings.yaml").read_text("utf-8")))


def packaged_coins() -> Universe:
    """Return the currency pairs of this release, which trade around the clock."""
    data = yaml.safe_load(files("algosat.exchange").joinpath("coins.yaml").read_text("utf-8"))
    return {entry["symbol"]: _coin(entry) for entry in data["pairs"]}


def read(data: Mapping[str, Any]) -> Universe:
    """Parse the content of `listings.yaml`."""
    with_derivatives = {
        symbol for future in data["futures"] for symbol in future["of"] if len(future["of"]) == 1
    }
    equities = [_equity(entry, entry["symbol"] in with_derivatives) for entry in data["equities"]]
    futures = [_future(entry) for entry in data["futures"]]
    return {listing.symbol: listing for listing in (*equities, *futures)}


def tick_for(price: Decimal, *, index: bool = False) -> Decimal:
    """Return the exchange's tick for a month-end close of `price`."""
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


def _coin(entry: Mapping[str, Any]) -> Listing:
    fee = entry["fee"]
    return Listing(
        instrument=Instrument(
            symbol=entry["symbol"],
            name=entry["name"],
            kind=InstrumentKind.SPOT,
            segment=SPOT,
            tick=Decimal(entry["tick"]),
            lot=Decimal(entry["lot"]),
            freeze_quantity=Decimal(entry["largest"]),
            minimum_quantity=Decimal(entry["smallest"]),
            minimum_notional=Decimal(entry["notional"]),
            currency=entry["currency"],
            base_currency=entry["base"],
        ),
        price=Decimal(entry["price"]),
        daily_volume=entry["volume"],
        volatility=entry["volatility"],
        band_percent=Decimal(entry["band"]),
        fee=TradeFee(Decimal(fee["rate"]), fee.get("currency"), Decimal(fee.get("price", 1))),
    )
