"""How one symbol's price walks: a pure step, every draw keyed by seed, symbol and number of the step.

Shares have changing trends, lean back to their listed price, gap over night, and now and then
run into their circuit; futures follow what they stand on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from math import sqrt
from typing import Final

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.exchange.listings import Listing, Universe
from algosat.exchange.prices import seeded

DAY_SECONDS: Final = 6.25 * 3600  # of trading
_YEAR_SECONDS: Final = 250 * DAY_SECONDS
_LEAN: Final = 0.02  # share of its distance to the listed price that a share makes good in a day
_TRENDS_PER_DAY: Final = 6.0
_TREND: Final = 1.5  # deviation of a trend, in daily volatilities a day
_GAP: Final = 0.5  # deviation of an overnight gap, in daily volatilities
_SHOCKS_PER_DAY: Final = 0.1
_SHOCK_BANDS: Final = 1.2  # a shock's size, in daily bands: it runs into the circuit


@dataclass(frozen=True, slots=True)
class Path:
    """Where one symbol's price has come to."""

    step: int
    day: date
    previous_close: Decimal
    fair: float  # the price before it is put on the tick
    trend: float  # of the price, per trading second
    last: Decimal
    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal
    opened: bool  # whether the day's first trade has been


Paths = Mapping[str, Path]


def unborn(listing: Listing) -> Path:
    """Before its first day."""
    price, nothing = listing.price, Decimal(0)
    return Path(0, date.min, price, float(price), 0.0, price, price, price, price, nothing, opened=False)


def rolled(path: Path, day: date) -> Path:
    """Brought to a new day: its last price is the close that the circuit is taken from."""
    last = path.last
    return replace(
        path, day=day, previous_close=last, open=last, high=last, low=last, volume=Decimal(0), opened=False
    )


def moved(universe: Universe, listing: Listing, seed: int, paths: Paths, span: float, at: datetime) -> Path:
    """One step of `span` trading seconds further; of a future, once what it stands on has moved."""
    path = paths[listing.symbol]
    path = replace(path, step=path.step + 1)
    trend = _trend(listing, seed, path, span)
    fair = (
        _fair_of_future(universe, listing, seed, paths, path)
        if listing.underlying
        else path.fair * (1 + _return(listing, seed, path, trend, span))
    )
    lower, upper = circuit(listing, path.previous_close)
    fair = min(max(fair, float(lower)), float(upper))
    last = min(max(on_tick(Decimal(fair), listing.instrument.tick), lower), upper)
    first = not path.opened
    return replace(
        path,
        fair=fair,
        trend=trend,
        last=last,
        open=last if first else path.open,
        high=last if first else max(path.high, last),
        low=last if first else min(path.low, last),
        volume=path.volume + _traded(listing, seed, path.step, span, at),
        opened=True,
    )


def _return(listing: Listing, seed: int, path: Path, trend: float, span: float) -> float:
    symbol, step, days = listing.symbol, path.step, span / DAY_SECONDS
    daily = _daily_volatility(listing)
    change = trend * span + daily * sqrt(days) * seeded.normal(seed, symbol, step, "walk")
    change += _LEAN * days * (float(listing.price) / path.fair - 1)
    if not path.opened:
        change += _GAP * daily * seeded.normal(seed, symbol, step, "gap")
    if seeded.uniform(seed, symbol, step, "shock") < _SHOCKS_PER_DAY * days:
        direction = 1 if seeded.uniform(seed, symbol, step, "shock's side") < 0.5 else -1
        change += direction * _SHOCK_BANDS * float(listing.band_percent) / 100
    return max(change, -0.9)


def _trend(listing: Listing, seed: int, path: Path, span: float) -> float:
    if seeded.uniform(seed, listing.symbol, path.step, "turn") >= _TRENDS_PER_DAY * span / DAY_SECONDS:
        return path.trend
    strength = _TREND * _daily_volatility(listing) / DAY_SECONDS
    return strength * seeded.normal(seed, listing.symbol, path.step, "trend")


def _daily_volatility(listing: Listing) -> float:
    return listing.volatility * sqrt(DAY_SECONDS / _YEAR_SECONDS)


def _fair_of_future(universe: Universe, listing: Listing, seed: int, paths: Paths, path: Path) -> float:
    """Its listed price, moved as what it stands on has moved from its own; the basis is a little noisy."""
    moves = [paths[symbol].fair / float(universe[symbol].price) for symbol in listing.underlying]
    noise = 0.05 * listing.basis * seeded.normal(seed, listing.symbol, path.step, "basis")
    return float(listing.price) * (sum(moves) / len(moves)) * (1 + noise)


def _traded(listing: Listing, seed: int, step: int, span: float, at: datetime) -> Decimal:
    """U-shaped over the day: busy at its ends, quiet at noon."""
    local = at.astimezone(EXCHANGE_TIME)
    hours = local.hour + local.minute / 60 - 9.25
    share = min(max(hours * 3600 / DAY_SECONDS, 0.0), 1.0)
    shape = 0.55 + 1.35 * (2 * share - 1) ** 2
    scatter = 2 * seeded.uniform(seed, listing.symbol, step, "volume")
    lots = listing.daily_volume * span / DAY_SECONDS * shape * scatter / int(listing.instrument.lot)
    # Rounded by chance: always down would leave a slow market of large lots without any trade.
    return int(lots + seeded.uniform(seed, listing.symbol, step, "odd lot")) * listing.instrument.lot


def circuit(listing: Listing, previous_close: Decimal) -> tuple[Decimal, Decimal]:
    """The day's lowest and highest price, on the tick and within the band."""
    tick, band = listing.instrument.tick, previous_close * listing.band_percent / 100
    lower = on_tick(previous_close - band, tick, ROUND_CEILING)
    return max(lower, tick), on_tick(previous_close + band, tick, ROUND_FLOOR)


def on_tick(price: Decimal, tick: Decimal, rounding: str = ROUND_HALF_UP) -> Decimal:
    """The price as a whole multiple of the tick."""
    return ((price / tick).to_integral_value(rounding) * tick).quantize(tick)
