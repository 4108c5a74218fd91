"""A recording as the quotes of a market: the same events that the synthetic feed gives.

What a recording does not say is made up as the feed would: the book around the last price, by
seed; the circuit, from the last close of the day before; four trades of a bar: its open, the
extreme that lies farther from its close, the other, and its close. Where no volume is recorded,
orders at rest trade only when the market comes to stand beyond them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.instruments import Instrument, InstrumentKind, Quote
from algosat.exchange import display
from algosat.exchange.listings import EQUITY, Listing, Universe, tick_for
from algosat.exchange.prices import random_walk
from algosat.exchange.prices.recording import Recorded, RecordedBar, RecordedTick

_BARS_A_DAY: Final = 375  # of a minute each
_LEAST_VOLUME: Final = 100_000  # a day, where the recording shows less: somebody must stand in the book
_UNLISTED_FREEZE: Final = Decimal(100_000)
_UNLISTED_BAND: Final = Decimal(20)


@dataclass(frozen=True, slots=True)
class _Day:
    """How far one symbol's day has come."""

    day: date
    circuit: tuple[Decimal, Decimal]  # from the last close of the day before
    open: Decimal
    high: Decimal
    low: Decimal
    last: Decimal
    volume: Decimal
    step: int


@dataclass(frozen=True, slots=True)
class _Print:
    """A trade to be quoted."""

    tick: RecordedTick
    traded: Decimal  # how much, where the tick does not tell the day's volume


def listing_of(recorded: Recorded) -> Listing:
    """A share that the exchange does not list, as its first line suggests it: lots of one, tick by price."""
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
    universe: Universe, seed: int, recording: Iterable[Recorded], *, bar: timedelta = timedelta(minutes=1)
) -> Iterator[Quote]:
    """The recording's quotes, in order of time. `bar` is how long one of its bars lasts."""
    days: dict[str, _Day] = {}
    for printed in _in_order(recording, bar):
        symbol = printed.tick.symbol
        listing = universe[symbol]
        days[symbol] = _gone_on(days.get(symbol), printed, listing)
        yield _quote(listing, seed, days[symbol], printed.tick)


def _in_order(recording: Iterable[Recorded], bar: timedelta) -> Iterator[_Print]:
    """Ticks as they are; of bars that begin together, the trades of all of them by their time."""
    together: list[_Print] = []
    for recorded in recording:
        if isinstance(recorded, RecordedTick):
            yield _Print(recorded, Decimal(0))
            continue
        if together and recorded.at != together[0].tick.at:
            yield from sorted(together, key=lambda each: each.tick.at)
            together = []
        together += _trades(recorded, bar)
    yield from sorted(together, key=lambda each: each.tick.at)


def _trades(bar: RecordedBar, length: timedelta) -> list[_Print]:
    rising = bar.close >= bar.open
    extremes = (bar.low, bar.high) if rising else (bar.high, bar.low)
    return [
        _Print(RecordedTick(bar.at + number * length / 4, bar.symbol, price), bar.volume / 4)
        for number, price in enumerate((bar.open, *extremes, bar.close))
    ]


def _gone_on(before: _Day | None, printed: _Print, listing: Listing) -> _Day:
    last = random_walk.on_tick(printed.tick.last, listing.instrument.tick)
    today = printed.tick.at.astimezone(EXCHANGE_TIME).date()
    if before is None or before.day != today:
        close, step = (before.last, before.step) if before else (last, 0)
        before = _Day(today, random_walk.circuit(listing, close), last, last, last, last, Decimal(0), step)
    told = printed.tick.volume
    return _Day(
        before.day,
        before.circuit,
        before.open,
        high=max(before.high, last),
        low=min(before.low, last),
        last=last,
        # Never back: a correction of the recorded volume is no trade.
        volume=before.volume + printed.traded if told is None else max(before.volume, told),
        step=before.step + 1,
    )


def _quote(listing: Listing, seed: int, day: _Day, tick: RecordedTick) -> Quote:
    lower, upper = day.circuit
    lower, upper = min(lower, day.low), max(upper, day.high)  # what was traded was within it
    shown = display.around(listing, seed, day.step, day.last, lower, upper)
    return Quote(
        symbol=tick.symbol,
        at=tick.at,
        last=day.last,
        bid=shown.bid if tick.bid is None else tick.bid,
        ask=shown.ask if tick.ask is None else tick.ask,
        bid_quantity=shown.bid_quantity if tick.bid_quantity is None else tick.bid_quantity,
        ask_quantity=shown.ask_quantity if tick.ask_quantity is None else tick.ask_quantity,
        volume=day.volume,
        open=day.open,
        high=day.high,
        low=day.low,
        lower_circuit=lower,
        upper_circuit=upper,
    )
