"""Recorded prices: a CSV file of ticks or bars, read and validated line by line.

    at,symbol,last[,bid,ask,bid_quantity,ask_quantity][,volume]      ticks; volume: of the day so far
    at,symbol,open,high,low,close,volume                             bars; at: start of the bar

Times are ISO 8601; without an offset they are exchange time. Lines must be in order of time.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.errors import InvalidRequest

_TICK: Final = frozenset({"at", "symbol", "last"})
_TICK_EXTRAS: Final = frozenset({"bid", "ask", "bid_quantity", "ask_quantity", "volume"})
_BAR: Final = frozenset({"at", "symbol", "open", "high", "low", "close", "volume"})


@dataclass(frozen=True, slots=True)
class RecordedTick:
    """A trade, with the quote around it as far as it was recorded."""

    at: datetime  # UTC
    symbol: str
    last: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_quantity: Decimal | None = None
    ask_quantity: Decimal | None = None
    volume: Decimal | None = None


@dataclass(frozen=True, slots=True)
class RecordedBar:
    """Prices and volume of one interval."""

    at: datetime  # UTC, start of the interval
    symbol: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


Recorded = RecordedTick | RecordedBar
Row = Mapping[str, str | None]  # None where a line is short


def read(lines: Iterable[str]) -> Iterator[Recorded]:
    """Yield the ticks or bars of a recording. Raises InvalidRequest, naming the first invalid line."""
    rows = csv.DictReader(lines, strict=True)
    parse = _parser(frozenset(rows.fieldnames or ()))
    before: datetime | None = None
    while True:
        try:
            recorded = parse(next(rows))
            if before is not None and recorded.at < before:
                raise ValueError(f"{recorded.at} comes after {before}: lines must be in order of time")
        except StopIteration:
            return
        except (ValueError, csv.Error) as error:
            raise InvalidRequest(f"line {rows.reader.line_num} of the recording: {error}") from error
        before = recorded.at
        yield recorded


def _parser(names: frozenset[str]) -> Callable[[Row], Recorded]:
    if names == _BAR:
        return _bar
    if _TICK <= names <= _TICK | _TICK_EXTRAS:
        return _tick
    ticks, extras, bars = (", ".join(sorted(each)) for each in (_TICK, _TICK_EXTRAS, _BAR))
    raise InvalidRequest(
        f"the first line of a recording must name the columns of ticks ({ticks}, and any of {extras}) "
        f"or those of bars ({bars})"
    )


def _tick(row: Row) -> RecordedTick:
    extras = {name: _number(row[name]) for name in _TICK_EXTRAS if row.get(name)}
    tick = RecordedTick(_time(row["at"]), _symbol(row), _price(row["last"]), **extras)
    if tick.bid is not None and tick.ask is not None and tick.bid > tick.ask:
        raise ValueError(f"the bid {tick.bid} is above the ask {tick.ask}")
    return tick


def _bar(row: Row) -> RecordedBar:
    prices = {name: _price(row[name]) for name in ("open", "high", "low", "close")}
    bar = RecordedBar(_time(row["at"]), _symbol(row), volume=_number(row["volume"]), **prices)
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        raise ValueError(f"open and close are not between low {bar.low} and high {bar.high}")
    return bar


def _symbol(row: Row) -> str:
    symbol = row["symbol"]
    if not symbol:
        raise ValueError("the symbol is missing")
    return symbol


def _time(text: str | None) -> datetime:
    at = datetime.fromisoformat(text or "")
    return (at if at.tzinfo else at.replace(tzinfo=EXCHANGE_TIME)).astimezone(UTC)


def _price(text: str | None) -> Decimal:
    price = _number(text)
    if not price:
        raise ValueError("a price must be above 0")
    return price


def _number(text: str | None) -> Decimal:
    try:
        number = Decimal(text or "")
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None
    if not number.is_finite() or number < 0:
        raise ValueError(f"{text} is not a price or quantity")
    return number
