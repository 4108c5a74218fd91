from __future__ import annotations

import pytest

from algosat.domain.orders import EventKind, PendingRequest, Status
from algosat.errors import Conflict, IllegalTransition, NotFound
from algosat.store import audit
from algosat.trading import cancel
from algosat.trading.apply_report import apply_report
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SECOND, accepted, advance, buy, order_now
from tests.app.fake_exchange import external_report


def test_unsent_order_is_cancelled_at_once(desk: Desk) -> None:
    cancelled = cancel.cancel_order(desk, buy(desk).id, CAUSE)
    assert (cancelled.status, cancelled.reason) == (Status.CANCELLED, "cancelled before it was sent")


def test_cancel_of_a_sent_order_is_left_pending_for_the_engine(desk: Desk) -> None:
    order = accepted(desk, buy(desk))
    requested = cancel.cancel_order(desk, order.id, CAUSE)
    assert (requested.status, requested.pending) == (Status.OPEN, PendingRequest.PENDING_CANCEL)


def test_second_cancel_writes_nothing(desk: Desk) -> None:
    order = accepted(desk, buy(desk))
    assert cancel.cancel_order(desk, order.id, CAUSE) == cancel.cancel_order(desk, order.id, CAUSE)
    with desk.database.read() as connection:
        kinds = [event.kind for event in audit.events_of(connection, order.id)]
    assert kinds.count(EventKind.CANCEL_REQUESTED) == 1


def test_cancel_of_an_order_in_unknown_state_is_pending(desk: Desk) -> None:
    order = advance(desk, buy(desk), EventKind.SUBMITTING, EventKind.UNCERTAIN)
    requested = cancel.cancel_order(desk, order.id, CAUSE)
    assert (requested.status, requested.pending) == (Status.UNKNOWN, PendingRequest.PENDING_CANCEL)


def test_order_not_found_at_the_broker_is_cancelled_at_once(desk: Desk) -> None:
    order = advance(desk, buy(desk), EventKind.SUBMITTING, EventKind.UNCERTAIN, EventKind.NOT_FOUND)
    assert cancel.cancel_order(desk, order.id, CAUSE).status is Status.CANCELLED


def test_filled_order_cannot_be_cancelled(desk: Desk) -> None:
    order = advance(desk, accepted(desk, buy(desk)), fill="10")
    with pytest.raises(IllegalTransition, match="filled"):
        cancel.cancel_order(desk, order.id, CAUSE)


def test_unknown_order_id_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound):
        cancel.cancel_order(desk, "a" * 18, CAUSE)


def test_external_order_is_never_cancelled(desk: Desk) -> None:
    order = desk.writer.run(lambda connection: apply_report(connection, desk, external_report("B77"))).order
    with pytest.raises(Conflict, match="elsewhere"):
        cancel.cancel_order(desk, order.id, CAUSE)
    assert cancel.cancel_all(desk, CAUSE) == []
    assert order_now(desk, order).pending is None


def test_cancel_all_cancels_every_working_order(desk: Desk) -> None:
    new, sent = buy(desk), accepted(desk, buy(desk))
    assert {order.id for order in cancel.cancel_all(desk, CAUSE)} == {new.id, sent.id}
    assert order_now(desk, new).status is Status.CANCELLED
    assert order_now(desk, sent).pending is PendingRequest.PENDING_CANCEL


def test_cancel_all_can_be_limited_to_a_symbol_or_strategy(desk: Desk) -> None:
    first, other = buy(desk), buy(desk, symbol=SECOND)
    third = buy(desk, strategy="trend")
    assert [order.id for order in cancel.cancel_all(desk, CAUSE, symbol=SECOND)] == [other.id]
    assert [order.id for order in cancel.cancel_all(desk, CAUSE, strategy="trend")] == [third.id]
    assert order_now(desk, first).status is Status.CREATED
