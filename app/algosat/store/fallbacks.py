"""Values that earlier releases do not know, and the values that these releases read instead.

An earlier release to which a server is rolled back must read every row. A column that it knows therefore
holds a value that it knows too, and the exact value is in the nullable column `NAME_exact` beside it, or in
the data of an event. A release that does not know an exact value either reads the fallback.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

import orjson
from sqlalchemy import ColumnElement, String, and_, not_, or_, type_coerce

from algosat.domain.closing import LineState
from algosat.domain.orders import EventKind, Order, OrderEvent, PendingRequest, Status, Validity
from algosat.store.tables import events

E = TypeVar("E", bound=StrEnum)

# Each with the same effect or a safer one: an order ends with its day, and a line of a close is finished.
FALLBACKS: Final[Mapping[StrEnum, StrEnum]] = {
    Validity.GTC: Validity.DAY,
    LineState.DUST: LineState.REDUCED,
}

# Key of the exact kind in the data of an event, which its hash covers.
_EXACT_KIND: Final = "exact_kind"
OF_ORDERS: Final = "order."  # prefix of the kinds that earlier releases replay
_CORRECTION: Final = "correction."  # of what they do not: events after a fill in whole


def columns(name: str, value: StrEnum) -> dict[str, str | None]:
    """Return the columns `name` and `NAME_exact` of a value."""
    fallback = FALLBACKS.get(value)
    if fallback is None:
        return {name: value.value, f"{name}_exact": None}
    return {name: fallback.value, f"{name}_exact": value.value}


def data(name: str, value: StrEnum) -> dict[str, str]:
    """Return a value as `columns` does, without a null."""
    return {key: each for key, each in columns(name, value).items() if each is not None}


def value_of(kind: type[E], stored: str, exact: str | None) -> E:
    """Return the exact value, unless an earlier release has changed the fallback since."""
    known = kind(stored)
    if exact is None:
        return known
    try:
        value = kind(exact)
    except ValueError:  # of a later release
        return known
    return value if FALLBACKS.get(value) is known else known


def event_kind(order: Order, event: OrderEvent, *, corrected: bool = False) -> str:
    """Return the kind under which to store an event of the order as it is before the event.

    In an earlier release the stored kind has the same effect on the order. It has none if the order is
    `corrected`: no event follows a fill in whole there.
    """
    if corrected:
        return _CORRECTION + event.kind.removeprefix(OF_ORDERS)
    if event.kind is EventKind.ACKNOWLEDGED:
        is_cancel = order.pending is PendingRequest.PENDING_CANCEL
        return EventKind.CANCEL_REQUESTED if is_cancel else EventKind.CANCEL_FAILED
    return EventKind.FILLED if event.kind is EventKind.TRADE_CANCELLED else event.kind


def corrects(order: Order, event: OrderEvent) -> bool:
    """Return whether the event changes an order that is filled in whole."""
    return event.kind is EventKind.TRADE_CANCELLED and order.status is Status.FILLED


def with_exact_kind(stored: str, kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the data of an event with its exact kind, if it is stored under another one."""
    return values if stored == kind else {**values, _EXACT_KIND: kind}


def exact_kind(stored: str, values: Mapping[str, Any]) -> str:
    """Return the exact kind of a stored event."""
    return str(values.get(_EXACT_KIND, stored))


def is_of_kind(kind: str) -> ColumnElement[bool]:
    """Return the condition that an event has this exact kind."""
    if not kind.startswith(OF_ORDERS):
        return events.c.kind == kind
    text = type_coerce(events.c.data, String)
    has_another = text.contains(f'"{_EXACT_KIND}":', autoescape=True)
    is_exact = text.contains(f'"{_EXACT_KIND}":{orjson.dumps(kind).decode()}', autoescape=True)
    return or_(and_(events.c.kind == kind, not_(has_another)), is_exact)


def is_of_order() -> ColumnElement[bool]:
    """Return the condition that an event is one of an order."""
    return or_(events.c.kind.startswith(OF_ORDERS), events.c.kind.startswith(_CORRECTION))
