"""A probe of a broker: its calls that change nothing, in turn, with a transcript that shows no secret.

The transcript may be sent to others: it has the form of the answers, not their content.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Any, Final, Protocol

from algosat.brokers.base import BookHint, Broker, CallKind
from algosat.brokers.masking import described, without_secrets
from algosat.clock import Clock
from algosat.domain.capabilities import Capabilities
from algosat.errors import AlgosatError, BrokerUnsupported

Call = Callable[[Broker], Any]

_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_DIGIT: Final = re.compile(r"[0-9]")
_LOWER: Final = re.compile(r"[a-z]")
_UPPER: Final = re.compile(r"[A-Z]")


class ProbeOutcome(StrEnum):
    ANSWERED = "answered"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    SKIPPED = "skipped"  # no time was left


@dataclass(frozen=True, slots=True)
class ProbedCall:
    """One call of the transcript."""

    call: str
    outcome: ProbeOutcome
    milliseconds: int
    detail: str  # of a failure, masked; empty after an answer
    items: int | None = None  # in the answer; None: it is no list
    sample: Any = None  # the answer, or the first item of a list, masked


class Ask(Protocol):
    """Makes a call to the broker, within the budget for calls of its kind."""

    def __call__(self, kind: CallKind, call: Call) -> Any: ...


def probe(ask: Ask, can: Capabilities, clock: Clock, deadline: datetime) -> list[ProbedCall]:
    """Make every call that changes nothing, one after another, until the deadline."""
    return [
        _made(name, lambda kind=kind, call=call: ask(kind, call), clock() >= deadline)  # type: ignore[misc]
        for name, kind, call in _calls(can, clock())
    ]


def masked(value: Any) -> Any:
    """Return the form of a value as JSON data: names and enumerations stay, all else loses its content."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: masked(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [masked(each) for each in value[:1]]
    return _UPPER.sub("X", _LOWER.sub("x", _DIGIT.sub("#", str(value))))


def _calls(can: Capabilities, now: datetime) -> Iterator[tuple[str, CallKind, Call]]:
    yesterday = (now - _DAY).date()
    yield "session", CallKind.BOOK, lambda broker: broker.session()
    yield "instruments", CallKind.QUOTES, lambda broker: broker.instruments()
    yield "quotes", CallKind.QUOTES, lambda broker: broker.quotes()
    yield "read_book", CallKind.BOOK, lambda broker: broker.read_book(BookHint()).reports
    yield "history", CallKind.HISTORY, _if(can.has_history, lambda broker: broker.history(yesterday).reports)
    yield "positions", CallKind.BOOK, _if(can.has_positions, lambda broker: broker.positions())
    yield "holdings", CallKind.BOOK, _if(can.has_holdings, lambda broker: broker.holdings())
    yield "funds", CallKind.BOOK, _if(can.has_funds, lambda broker: broker.funds())
    yield "candles", CallKind.HISTORY, _if(can.has_candles, lambda broker: _candles(broker, now))


def _candles(broker: Broker, now: datetime) -> Any:
    quotes = broker.quotes()
    return broker.candles(quotes[0].symbol, _MINUTE, now - _DAY, now) if quotes else []


def _if(supported: bool, call: Call) -> Call:
    def refuse(_broker: Broker) -> Any:
        raise BrokerUnsupported("the adapter states that it cannot do this")

    return call if supported else refuse


def _made(name: str, call: Callable[[], Any], late: bool) -> ProbedCall:
    if late:
        return ProbedCall(name, ProbeOutcome.SKIPPED, 0, "no time was left")
    began = time.monotonic()
    answer: Any = None
    outcome, detail = ProbeOutcome.ANSWERED, ""
    try:
        answer = call()
    except BrokerUnsupported as error:
        outcome, detail = ProbeOutcome.UNSUPPORTED, error.detail
    except AlgosatError as error:
        outcome, detail = ProbeOutcome.FAILED, f"{error.code}: {without_secrets(error.detail)}"
    except Exception as error:  # noqa: BLE001 - an adapter under probe may fail in any way
        outcome, detail = ProbeOutcome.FAILED, described(error)
    milliseconds = round((time.monotonic() - began) * 1000)
    is_list = isinstance(answer, Sequence)
    items = len(answer) if is_list else None
    sample = masked(answer[0] if answer else None) if is_list else masked(answer)
    return ProbedCall(name, outcome, milliseconds, detail, items, sample)
