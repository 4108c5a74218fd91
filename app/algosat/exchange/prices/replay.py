"""Replay of a recording as quotes, like those of the random walk.

What the recording lacks is made up: bid and ask around the last price by seed, and the circuit limits from
the last close of the day before. A bar becomes four trades: its open, the extreme farther from its close,
the other extreme, and its close. Without recorded volume, a resting order trades only when the other
side's best quote reaches its price.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from algosat.domain.calendar import Calendar, zone_of
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument, InstrumentKind, Quote
from algosat.errors import CalendarUnknown
from algosat.exchange.depth import top_of_book
from algosat.exchange.listings import EQUITY, Listing, Universe, tick_for
from algosat.exchange.prices import random_walk
from algosat.exchange.prices.recording import Recorded, RecordedBar, RecordedTick

_BARS_A_DAY: Final = 375  # of one minute each
_LEAST_VOLUME: Final = 100_000  # per day, if the recording shows less: it sets the displayed quantities
_UNLISTED_FREEZE: Final = Decimal(100_000)
_UNLISTED_BAND: Final = Decimal(20)


_DAY: Final = timedelta(days=1)

_SpanOf = Callable[[RecordedBar], tuple[datetime, timedelta]]  # when the bar's trades began, and for how long


@dataclass(frozen=True, slots=True)
class _Day:
    """The trading day of one symbol so far."""

    day: date
    circuit_limits: tuple[Decimal, Decimal]  # from the last close of the day before
    open: Decimal
    high: Decimal
    low: Decimal
    last: Decimal
    volume: Decimal
    step: int


@dataclass(frozen=True, slots=True)
class _Print:
    """A trade, recorded as a tick or taken from a bar."""

    tick: RecordedTick
    traded: Decimal  # quantity, if the tick has no volume of the day


def listing_of(recorded: Recorded) -> Listing:
    """Make a listing for a share that the exchange does not list, from its first recorded line."""
    price = recorded.open if isinstance(recorded, RecordedBar) else recorded.last
    volume = int(recorded.volume * _BARS_A_DAY) if isinstance(recorded, RecordedBar) else 0
    return Listing(
        instrument=Instrument(
            symbol=recorded.symbol,
            name=recorded.symbol,
            kind=InstrumentKind.EQUITY,
            segment=EQUITY,
            tick=tick_for(price),
            lot=Decimal(1),
            freeze_quantity=_UNLISTED_FREEZE,
        ),
        price=price,
        daily_volume=max(volume, _LEAST_VOLUME),
        volatility=0.0,
        band_percent=_UNLISTED_BAND,
    )


def quotes(
    universe: Universe,
    seed: int,
    recording: Iterable[Recorded],
    *,
    bar: timedelta = timedelta(minutes=1),
    calendar: Calendar | None = None,
) -> Iterator[Quote]:
    """Yield the quotes of a recording in order of time.

    Args:
        bar: The length of the recording's bars.
        calendar: The trading hours over which daily bars are spread; without it, and on days without
            trading, the bars are spread over the whole day.
    """

    def span(recorded: RecordedBar) -> tuple[datetime, timedelta]:
        whole = (recorded.at, bar)
        if calendar is None or bar != _DAY:
            return whole
        return _trading_hours(calendar, universe[recorded.symbol].instrument, recorded.at) or whole

    days: dict[str, _Day] = {}
    for printed in _in_order(recording, span):
        symbol = printed.tick.symbol
        listing = universe[symbol]
        days[symbol] = _after(days.get(symbol), printed, listing)
        yield _quote(listing, seed, days[symbol], printed.tick)


def _trading_hours(
    calendar: Calendar, instrument: Instrument, at: datetime
) -> tuple[datetime, timedelta] | None:
    """Return start and length of continuous trading on a day; None if there is no trading, or no end."""
    where = (instrument.segment, instrument.has_derivatives, at)
    try:
        opens, closes = calendar.opens_at(*where), calendar.closes_at(*where)
    except CalendarUnknown:
        return None
    return None if opens is None or closes is None else (opens, closes - opens)


def _in_order(recording: Iterable[Recorded], span: _SpanOf) -> Iterator[_Print]:
    """Yield ticks as they are, and the trades of bars that begin together in order of time."""
    together: list[_Print] = []
    begun: datetime | None = None
    for recorded in recording:
        if isinstance(recorded, RecordedTick):
            yield _Print(recorded, ZERO)
            continue
        if recorded.at != begun:
            yield from sorted(together, key=lambda each: each.tick.at)
            together, begun = [], recorded.at
        together += _trades(recorded, *span(recorded))
    yield from sorted(together, key=lambda each: each.tick.at)


def _trades(bar: RecordedBar, start: datetime, length: timedelta) -> list[_Print]:
    rising = bar.close >= bar.open
    extremes = (bar.low, bar.high) if rising else (bar.high, bar.low)
    return [
        _Print(RecordedTick(start + number * length / 4, bar.symbol, price), bar.volume / 4)
        for number, price in enumerate((bar.open, *extremes, bar.close))
    ]


def _after(before: _Day | None, printed: _Print, listing: Listing) -> _Day:
    last = random_walk.on_tick(printed.tick.last, listing.instrument.tick)
    today = printed.tick.at.astimezone(zone_of(listing.instrument)).date()
    if before is None or before.day != today:
        close, step = (before.last, before.step) if before else (last, 0)
        before = _Day(today, random_walk.circuit_limits(listing, close), last, last, last, last, ZERO, step)
    volume = printed.tick.volume
    return _Day(
        before.day,
        before.circuit_limits,
        before.open,
        high=max(before.high, last),
        low=min(before.low, last),
        last=last,
        # Never lower: a correction of the recorded volume is not a trade.
        volume=before.volume + printed.traded if volume is None else max(before.volume, volume),
        step=before.step + 1,
    )


def _quote(listing: Listing, seed: int, day: _Day, tick: RecordedTick) -> Quote:
    lower, upper = day.circuit_limits
    lower, upper = min(lower, day.low), max(upper, day.high)  # prices that traded were within the limits
    top = top_of_book(listing, seed, day.step, day.last, lower, upper)
    return Quote(
        symbol=tick.symbol,
        at=tick.at,
        last=day.last,
        bid=top.bid if tick.bid is None else tick.bid,
        ask=top.ask if tick.ask is None else tick.ask,
        bid_quantity=top.bid_quantity if tick.bid_quantity is None else tick.bid_quantity,
        ask_quantity=top.ask_quantity if tick.ask_quantity is None else tick.ask_quantity,
        volume=day.volume,
        open=day.open,
        high=day.high,
        low=day.low,
        lower_circuit=lower,
        upper_circuit=upper,
    )
