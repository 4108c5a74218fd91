"""The random walk of prices: a pure step function, each draw keyed by seed, symbol and step number.

    paths, quotes = follow_day(rules, paths, span, at)

A walk continued from stored paths gives the same prices as one that was never stopped. Shares have changing
trends, revert to their listed price, gap overnight, and sometimes run into their circuit limit. Futures
follow their underlying, and options the price that Black's formula gives for it with a fixed volatility.
Options take turns: the price of each moves at every eighth step, since they are the most numerous instruments
and each quote costs time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from math import sqrt
from typing import Final

from algosat.domain.calendar import EXCHANGE_TIME, moment
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import InstrumentKind, Quote
from algosat.domain.market_phases import Phase
from algosat.domain.option_pricing import DAYS_A_YEAR, black76
from algosat.exchange.depth import top_of_book
from algosat.exchange.listings import Listing, Universe
from algosat.exchange.prices import seeded
from algosat.exchange.rules import Rules

DAY_SECONDS: Final = 6.25 * 3600  # of trading
_YEAR_SECONDS: Final = 250 * DAY_SECONDS
_REVERSION: Final = 0.02  # share of the distance to its listed price that a share makes up in a day
_TRENDS_PER_DAY: Final = 6.0
_TREND: Final = 1.5  # standard deviation of a trend, in daily volatilities per day
_GAP: Final = 0.5  # standard deviation of an overnight gap, in daily volatilities
_SHOCKS_PER_DAY: Final = 0.1
_SHOCK_BANDS: Final = 1.2  # size of a shock in daily bands: enough to reach the circuit limit
_EXPIRES_AT: Final = time(15, 30)  # when an option has no time value left
_OPTION_STEPS: Final = 8  # of the underlying, between two prices of an option


@dataclass(frozen=True, slots=True)
class Path:
    """The state of one symbol's walk."""

    step: int
    day: date
    previous_close: Decimal
    fair: float  # the price before it is rounded to the tick
    trend: float  # of the price, per trading second
    last: Decimal
    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal
    opened: bool  # whether the day's first trade has happened


Paths = Mapping[str, Path]
_Limits = tuple[Decimal, Decimal]  # the lowest and highest price of the day


def initial_paths(universe: Universe) -> Paths:
    """Return the walk of every symbol before its first day."""
    return {symbol: _path_at(listing.price) for symbol, listing in universe.items()}


def contract_path(listing: Listing, paths: Paths, at: datetime) -> Path:
    """Return the walk of a contract before its first day. Its first price follows from its underlying's."""
    fair = Decimal(_fair_of_contract(listing, paths, at))
    return _path_at(max(on_tick(fair, listing.instrument.tick), listing.instrument.tick))


def start_day(paths: Paths, symbol: str, day: date) -> Paths:
    """Start a symbol's new trading day. Its last price becomes the close that sets the circuit limits."""
    path = paths[symbol]
    if path.day == day:
        return paths
    last = path.last
    new = replace(
        path, day=day, previous_close=last, open=last, high=last, low=last, volume=ZERO, opened=False
    )
    return {**paths, symbol: new}


def advance(
    universe: Universe, seed: int, paths: Paths, symbols: Collection[str], span: float, at: datetime
) -> tuple[Paths, tuple[Quote, ...]]:
    """Move the given symbols by `span` trading seconds, and quote them at `at`."""
    moved, quotes = dict(paths), []
    # Underlyings come before their futures and options.
    for symbol, listing in universe.items():
        if symbol in symbols:
            spans = span * _OPTION_STEPS if _is_option(listing) else span
            limits = circuit_limits(listing, moved[symbol].previous_close)
            moved[symbol] = _next_path(universe, listing, seed, moved, spans, at, limits)
            quotes.append(_quote(listing, seed, moved[symbol], at, limits))
    return moved, tuple(quotes)


def follow_day(rules: Rules, paths: Paths, span: float, at: datetime) -> tuple[Paths, Sequence[Quote]]:
    """Move and quote the symbols that trade at `at`, by `span` trading seconds.

    On a new day each symbol is first quoted at its last close, before its very first day at any time. In a
    pre-open session it then moves once, to the price of the match.
    """
    today = rules.day(at)
    phases = rules.phases(at)
    new = {
        symbol
        for symbol, phase in phases.items()
        if paths[symbol].day == date.min or (phase is not Phase.CLOSED and paths[symbol].day != today)
    }
    for symbol in new:
        paths = start_day(paths, symbol, today)
    moving = {
        symbol
        for symbol, phase in phases.items()
        if (phase is Phase.CONTINUOUS and _has_its_turn(rules.universe[symbol], paths, phases))
        or (phase is Phase.PRE_OPEN_MATCH and not paths[symbol].opened)
    }
    paths, quotes = advance(rules.universe, rules.seed, paths, moving, span, at)
    at_close = [_quote_at_close(rules, symbol, paths[symbol], at) for symbol in sorted(new - moving)]
    return paths, (*quotes, *at_close)


def circuit_limits(listing: Listing, previous_close: Decimal) -> tuple[Decimal, Decimal]:
    """Return the lowest and highest price of the day, on the tick and within the band.

    An option may become worthless within a day, and gains at most what its underlying gains or loses.
    """
    tick, strike = listing.instrument.tick, listing.instrument.strike
    band = (previous_close if strike is None else strike) * listing.band_percent / 100
    lower = on_tick(previous_close - band, tick, ROUND_CEILING)
    return max(lower, tick), on_tick(previous_close + band, tick, ROUND_FLOOR)


def on_tick(price: Decimal, tick: Decimal, rounding: str = ROUND_HALF_UP) -> Decimal:
    """Round a price to a multiple of the tick."""
    return ((price / tick).to_integral_value(rounding) * tick).quantize(tick)


def _path_at(price: Decimal) -> Path:
    return Path(0, date.min, price, float(price), 0.0, price, price, price, price, ZERO, opened=False)


def _next_path(
    universe: Universe,
    listing: Listing,
    seed: int,
    paths: Paths,
    span: float,
    at: datetime,
    limits: _Limits,
) -> Path:
    """Move one symbol by `span` trading seconds. Its underlying must have moved before."""
    path = paths[listing.symbol]
    step = path.step + 1
    trend = _trend(listing, seed, path.trend, step, span)
    if listing.instrument.expiry is not None:
        fair = _fair_of_contract(listing, paths, at)
    elif listing.underlying:
        fair = _fair_of_future(universe, listing, seed, paths, step)
    else:
        fair = path.fair * (1 + _return(listing, seed, path, step, trend, span))
    lower, upper = limits
    fair = min(max(fair, float(lower)), float(upper))
    last = min(max(on_tick(Decimal(fair), listing.instrument.tick), lower), upper)
    first = not path.opened
    # Built directly: `replace` costs more than a draw.
    return Path(
        step=step,
        day=path.day,
        previous_close=path.previous_close,
        fair=fair,
        trend=trend,
        last=last,
        open=last if first else path.open,
        high=last if first else max(path.high, last),
        low=last if first else min(path.low, last),
        volume=path.volume + _traded(listing, seed, step, span, at),
        opened=True,
    )


def _quote_at_close(rules: Rules, symbol: str, path: Path, at: datetime) -> Quote:
    listing = rules.universe[symbol]
    return _quote(listing, rules.seed, path, at, circuit_limits(listing, path.previous_close))


def _quote(listing: Listing, seed: int, path: Path, at: datetime, limits: _Limits) -> Quote:
    lower, upper = limits
    top = top_of_book(listing, seed, path.step, path.last, lower, upper)
    return Quote(
        symbol=listing.symbol,
        at=at,
        last=path.last,
        bid=top.bid,
        ask=top.ask,
        bid_quantity=top.bid_quantity,
        ask_quantity=top.ask_quantity,
        volume=path.volume,
        open=path.open,
        high=path.high,
        low=path.low,
        lower_circuit=lower,
        upper_circuit=upper,
    )


def _return(listing: Listing, seed: int, path: Path, step: int, trend: float, span: float) -> float:
    symbol, days = listing.symbol, span / DAY_SECONDS
    daily = _daily_volatility(listing)
    change = trend * span + daily * sqrt(days) * seeded.normal(seed, symbol, step, "walk")
    change += _REVERSION * days * (float(listing.price) / path.fair - 1)
    if not path.opened:
        change += _GAP * daily * seeded.normal(seed, symbol, step, "gap")
    if seeded.uniform(seed, symbol, step, "shock") < _SHOCKS_PER_DAY * days:
        direction = 1 if seeded.uniform(seed, symbol, step, "shock's side") < 0.5 else -1
        change += direction * _SHOCK_BANDS * float(listing.band_percent) / 100
    return max(change, -0.9)


def _trend(listing: Listing, seed: int, trend: float, step: int, span: float) -> float:
    if seeded.uniform(seed, listing.symbol, step, "turn") >= _TRENDS_PER_DAY * span / DAY_SECONDS:
        return trend
    strength = _TREND * _daily_volatility(listing) / DAY_SECONDS
    return strength * seeded.normal(seed, listing.symbol, step, "trend")


def _daily_volatility(listing: Listing) -> float:
    return listing.volatility * sqrt(DAY_SECONDS / _YEAR_SECONDS)


def _fair_of_future(universe: Universe, listing: Listing, seed: int, paths: Paths, step: int) -> float:
    """Move the future's listed price as its underlyings have moved from theirs, with a little noise."""
    moves = [paths[symbol].fair / float(universe[symbol].price) for symbol in listing.underlying]
    noise = 0.05 * listing.basis * seeded.normal(seed, listing.symbol, step, "basis")
    return float(listing.price) * (sum(moves) / len(moves)) * (1 + noise)


def _fair_of_contract(listing: Listing, paths: Paths, at: datetime) -> float:
    """Return the price of a contract that expires, given the price of its underlying."""
    instrument = listing.instrument
    if instrument.expiry is None:
        raise ValueError(f"{listing.symbol} has no expiry")
    seconds = (moment(instrument.expiry, _EXPIRES_AT) - at).total_seconds()
    years = max(seconds, 0.0) / (DAYS_A_YEAR * 86_400)
    (underlying,) = listing.underlying
    forward = paths[underlying].fair * (1 + listing.basis * years)
    if instrument.strike is None or instrument.option_type is None:
        return forward
    return black76(instrument.option_type, forward, float(instrument.strike), years, listing.volatility)


def _is_option(listing: Listing) -> bool:
    return listing.instrument.kind is InstrumentKind.OPTION


def _has_its_turn(listing: Listing, paths: Paths, phases: Mapping[str, Phase]) -> bool:
    """Return whether a symbol moves at this step. Only options skip steps, and never their first one.

    While the underlying is in its closing auction, its options move at every step, too.
    """
    if not _is_option(listing) or not paths[listing.symbol].opened:
        return True
    (underlying,) = listing.underlying
    if phases[underlying] is not Phase.CONTINUOUS:
        return True
    return (paths[underlying].step + listing.turn) % _OPTION_STEPS == 0


def _traded(listing: Listing, seed: int, step: int, span: float, at: datetime) -> Decimal:
    """Draw the traded volume, U-shaped over the day: high at open and close, low at noon."""
    local = at.astimezone(EXCHANGE_TIME)
    hours = local.hour + local.minute / 60 - 9.25
    share = min(max(hours * 3600 / DAY_SECONDS, 0.0), 1.0)
    shape = 0.55 + 1.35 * (2 * share - 1) ** 2
    scatter = 2 * seeded.uniform(seed, listing.symbol, step, "volume")
    lots = listing.daily_volume * span / DAY_SECONDS * shape * scatter / float(listing.instrument.lot)
    # Rounded at random: rounding down would leave a slow market of large lots without any trade.
    return int(lots + seeded.uniform(seed, listing.symbol, step, "odd lot")) * listing.instrument.lot
