"""What an earlier release reads: only values that it knows, and events that replay to the same order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

import orjson
import pytest
from sqlalchemy import text

from algosat.brokers.paper import codec
from algosat.domain.closing import CloseReason, LineState
from algosat.domain.gtt import GttState
from algosat.domain.linked_exits import LinkedRole
from algosat.domain.orders import (
    EventKind,
    Order,
    OrderEvent,
    OrderType,
    PendingRequest,
    Product,
    Side,
    Status,
    TradingSession,
    Validity,
    apply,
    create,
)
from algosat.exchange.order_book import BookOrder
from algosat.store import audit, fallbacks, history, ledger, queries
from algosat.store.database import Database
from algosat.store.rows import event_from, terms_from
from algosat.store.verify.verify import verify
from algosat.store.writer import Writer
from tests.app.store.conftest import BOOKS, CAUSE, NOW, event_of, order_of, place, trade_of

_K = EventKind
# What release before-ready (schema version 0012) knows of the values that are stored in tables it reads.
KNOWN_BEFORE: dict[type[StrEnum], set[str]] = {
    Validity: {"day", "ioc"},
    LineState: {
        "cancelling", "sending", "waiting", "needs_person", "flat", "reduced", "stopped",
    },
    EventKind: {
        "order.created", "order.denied", "order.submitting", "order.accepted", "order.triggered",
        "order.rejected", "order.uncertain", "order.not_found", "order.filled", "order.cancelled",
        "order.expired", "order.modify_requested", "order.modified", "order.modify_failed",
        "order.cancel_requested", "order.cancel_failed",
    },
    Status: {
        "created", "denied", "submitting", "open", "trigger_pending", "partially_filled", "filled",
        "cancelled", "rejected", "expired", "unknown", "not_found",
    },
    PendingRequest: {"pending_modify", "pending_cancel"},
    OrderType: {"market", "limit", "stop", "stop_limit"},
    Product: {"delivery", "intraday", "carry"},
    Side: {"buy", "sell"},
    TradingSession: {"regular", "after_market"},
    CloseReason: {"request", "strategy", "halt", "square_off", "expiry"},
    GttState: {"active", "triggered", "cancelled", "expired"},
    LinkedRole: {"entry", "target", "stop"},
}  # fmt: skip
# Stored under another kind, which depends on the order: see `fallbacks.event_kind`.
DISGUISED = {_K.ACKNOWLEDGED, _K.TRADE_CANCELLED}


@pytest.mark.parametrize("kind", KNOWN_BEFORE, ids=lambda kind: kind.__name__)
def test_value_is_known_to_the_earlier_release_or_has_a_fallback(kind: type[StrEnum]) -> None:
    for value in set(kind) - DISGUISED:
        stored = fallbacks.columns("it", value)["it"]
        assert stored in KNOWN_BEFORE[kind], f"give {kind.__name__} {value} a fallback"


def test_exact_value_of_a_later_release_is_read_as_its_fallback() -> None:
    assert fallbacks.value_of(Validity, "day", "gtd") is Validity.DAY


def test_exact_value_ends_when_an_earlier_release_changes_the_fallback() -> None:
    assert fallbacks.value_of(LineState, "reduced", "dust") is LineState.DUST
    assert fallbacks.value_of(LineState, "flat", "dust") is LineState.FLAT


def recorded(writer: Writer, order: Order, *units: Iterable[OrderEvent]) -> Order:
    """Place the order, and record the events of each unit of work."""
    placed = place(writer, order)
    for unit in units:
        events = list(unit)
        placed = writer.run(
            lambda connection, events=events: ledger.record_all(  # type: ignore[misc]
                connection, ledger.get(connection, order.id), events, CAUSE, BOOKS
            )
        )
    return placed


def events_of(*kinds: EventKind) -> list[OrderEvent]:
    return [event_of(kind) for kind in kinds]


def as_before(database: Database, order_id: str) -> Order:
    """Replay the events of an order as a release does that reads the stored kinds only."""
    with database.read() as connection:
        rows = connection.execute(text("SELECT kind, data FROM events ORDER BY seq")).all()
    replayed: Order | None = None
    for kind, json in rows:
        if not kind.startswith("order."):
            continue
        assert kind in KNOWN_BEFORE[EventKind]
        data = {name: value for name, value in orjson.loads(json).items() if not name.endswith("exact_kind")}
        data.pop("validity_exact", None)
        if replayed is None:
            replayed = create(order_id, terms_from(data), NOW)
        else:
            replayed = apply(replayed, event_from(kind, NOW, data))
    assert replayed is not None
    return replayed


def kinds_of(database: Database, order_id: str) -> list[str]:
    with database.read() as connection:
        assert verify(connection).findings == []
        return [event.kind for event in audit.events_of(connection, order_id)]


def test_gtc_order_is_a_day_order_to_the_earlier_release(writer: Writer, database: Database) -> None:
    order = replace(order_of(1), terms=replace(order_of(1).terms, validity=Validity.GTC))
    assert recorded(writer, order, events_of(_K.SUBMITTING, _K.ACCEPTED)).terms.validity is Validity.GTC
    before = as_before(database, order.id)
    assert before.terms == replace(order.terms, validity=Validity.DAY)
    with database.read() as connection:
        assert connection.execute(text("SELECT validity FROM orders")).scalar() == "day"
        assert history.at_version(connection, order.id, 3).terms == order.terms
        assert verify(connection).findings == []


def test_gtc_order_of_the_paper_exchange_is_a_day_order_to_the_earlier_release() -> None:
    terms = replace(order_of(1).terms, validity=Validity.GTC)
    order = BookOrder(
        id="P1", tag="a1", terms=terms, status=Status.OPEN, day=NOW.date(), placed_at=NOW, updated_at=NOW
    )
    row = codec.order_row(order)
    assert codec.order_from(row, ()) == order  # type: ignore[arg-type]
    del row["data"]["validity_exact"]
    assert codec.order_from(row, ()).terms == replace(terms, validity=Validity.DAY)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "before", [(), (_K.CANCEL_REQUESTED,), (_K.UNCERTAIN,), (_K.UNCERTAIN, _K.CANCEL_REQUESTED)]
)
def test_acknowledgement_has_the_same_effect_in_the_earlier_release(
    writer: Writer, database: Database, before: tuple[EventKind, ...]
) -> None:
    acknowledged = OrderEvent(_K.ACKNOWLEDGED, NOW, broker_order_id="B1")
    order = recorded(writer, order_of(1), events_of(_K.SUBMITTING, *before), [acknowledged])
    assert order.broker_order_id == "B1"
    assert order.pending is (PendingRequest.PENDING_CANCEL if _K.CANCEL_REQUESTED in before else None)
    assert as_before(database, order.id) == order
    assert kinds_of(database, order.id)[-1] == _K.ACKNOWLEDGED


@pytest.mark.parametrize("ends", [(), (_K.CANCELLED,)])
def test_cancelled_trade_has_the_same_effect_in_the_earlier_release(
    writer: Writer, database: Database, ends: tuple[EventKind, ...]
) -> None:
    order = recorded(writer, order_of(1), inferred("4"), events_of(*ends), replaced("4", "6"))
    assert order.filled_quantity == 6
    assert as_before(database, order.id) == order
    assert kinds_of(database, order.id)[-2:] == [_K.TRADE_CANCELLED, _K.FILLED]


def test_correction_of_an_order_filled_in_whole_is_not_replayed_by_the_earlier_release(
    writer: Writer, database: Database
) -> None:
    order = recorded(writer, order_of(1), inferred("10"), replaced("10", "10"))
    assert order.filled_value == 1010
    before = as_before(database, order.id)
    assert before.status is Status.FILLED
    assert before.average_price == 100
    assert kinds_of(database, order.id)[-2:] == [_K.TRADE_CANCELLED, _K.FILLED]
    with database.read() as connection:
        assert history.at_version(connection, order.id, order.version) == order


def inferred(quantity: str) -> list[OrderEvent]:
    return [*events_of(_K.SUBMITTING, _K.ACCEPTED), event_of(_K.FILLED, trade=trade_of(1, quantity))]


def replaced(inferred_quantity: str, quantity: str) -> list[OrderEvent]:
    """Return the events that replace an inferred trade by another one at a higher price."""
    counterpart = replace(trade_of(1, f"-{inferred_quantity}"), id="T1-cancelled")
    return [
        event_of(_K.TRADE_CANCELLED, trade=counterpart),
        event_of(_K.FILLED, trade=trade_of(2, quantity, "101")),
    ]


def test_events_are_found_by_their_exact_kind(writer: Writer, database: Database) -> None:
    order = recorded(writer, order_of(1), inferred("10"), replaced("10", "4"), events_of(_K.CANCEL_REQUESTED))
    with database.read() as connection:
        found = {
            kind: len(queries.events_page(connection, limit=9, kind=kind).rows)
            for kind in (_K.FILLED, _K.TRADE_CANCELLED, _K.CANCEL_REQUESTED, _K.ACKNOWLEDGED, "user.added")
        }
        assert history.number_of(connection, order.id, _K.FILLED) == 2
        assert audit.first_broken_link(connection) is None
    assert found == {
        _K.FILLED: 2, _K.TRADE_CANCELLED: 1, _K.CANCEL_REQUESTED: 1, _K.ACKNOWLEDGED: 0, "user.added": 0,
    }  # fmt: skip


def test_changed_exact_kind_breaks_the_chain(writer: Writer, database: Database) -> None:
    recorded(writer, order_of(1), inferred("4"), replaced("4", "6"))
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE events SET data = replace(data, 'trade_cancelled', 'denied')"))
    with database.read() as connection:
        assert audit.first_broken_link(connection) is not None
