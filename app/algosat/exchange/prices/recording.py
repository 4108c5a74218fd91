"""Recorded prices: a CSV of ticks or of bars, read line by line and checked.

    at,symbol,last[,bid,ask,bid_quantity,ask_quantity][,volume]      ticks; volume: traded that day so far
    at,symbol,open,high,low,close,volume                             bars; at: when the bar begins

Times are ISO 8601; one without an offset is exchange time. Lines are in order of time.
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
    at: datetime  # UTC, its beginning
    symbol: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


Recorded = RecordedTick | RecordedBar
Row = Mapping[str, str | None]  # a short line leaves values out


def read(lines: Iterable[str]) -> Iterator[Recorded]:
    """The lines of a recording. Raises InvalidRequest at the first that is wrong, with its number."""
    rows = csv.DictReader(lines, strict=True)
    parse = _parser(frozenset(rows.fieldnames or ()))
    before: datetime | None = None
    while True:
        try:
            recorded = parse(next(rows))
            if before is not None and recorded.at < before:
                raise ValueError(f"{recorded.at} stands after {before}")
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
        raise ValueError("there is no symbol")
    return symbol


def _time(text: str | None) -> datetime:
    at = datetime.fromisoformat(text or "")
    return (at if at.tzinfo else at.replace(tzinfo=EXCHANGE_TIME)).astimezone(UTC)


def _price(text: str | None) -> Decimal:
    price = _number(text)
    if not price:
        raise ValueError("a price is above nought")
    return price


def _number(text: str | None) -> Decimal:
    try:
        number = Decimal(text or "")
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not number.is_finite() or number < 0:
        raise ValueError(f"{text} is no price or quantity")
    return number
