"""GTT orders: kept until their trigger price is reached, then placed once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.gtt import GttOrder, GttState
from algosat.domain.linked_exits import ExitPrices
from algosat.domain.linked_requests import ExitRequest
from algosat.domain.orders import Order, OrderTerms, OrderType, Side, Status, TradingSession
from algosat.errors import Conflict, InvalidBody, KeyReused
from algosat.store import gtt_orders, linked_exits, queries
from algosat.store.tables import gtt_orders as gtt_table
from algosat.store.verify.verify import verify
from algosat.trading import alerts, gtt, halts
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from tests.app.desks import CAUSE, order_now, set_prices, terms_of
from tests.app.fakes import FakeClock

Keep = Callable[..., GttOrder]


@pytest.fixture
def keep(desk: Desk) -> Keep:
    """Return a function that keeps a GTT order to buy ten at 95."""

    def place(
        trigger: str = "95",
        *,
        terms: OrderTerms | None = None,
        exits: ExitRequest | None = None,
        expires_on: date | None = None,
        key: str = "one",
        body: str = "body",
    ) -> GttOrder:
        idempotency_key = IdempotencyKey("user:tester", key, body)
        wanted = terms or terms_of(limit="95")
        return gtt.place_gtt(desk, wanted, exits, Decimal(trigger), expires_on, CAUSE, key=idempotency_key)[0]

    return place


def now(desk: Desk, of: GttOrder) -> GttOrder:
    with desk.database.read() as connection:
        return gtt.show_gtt(connection, of.id)


def orders(desk: Desk) -> list[Any]:
    with desk.database.read() as connection:
        return list(queries.orders_page(connection, limit=10).rows)


def placed(desk: Desk, of: GttOrder) -> Order:
    order_id = now(desk, of).order_id
    assert order_id is not None
    return order_now(desk, order_id)


def test_order_is_placed_once_when_the_price_is_reached(desk: Desk, keep: Keep) -> None:
    kept = keep()
    gtt.trigger_gtts(desk)
    assert orders(desk) == []
    set_prices(desk, ALPHA="94.9")
    gtt.trigger_gtts(desk)
    gtt.trigger_gtts(desk)
    order = placed(desk, kept)
    assert (order.status, order.terms) == (Status.CREATED, kept.terms)
    assert (now(desk, kept).state, len(orders(desk))) == (GttState.TRIGGERED, 1)


def test_price_above_is_reached_from_below(desk: Desk, keep: Keep) -> None:
    kept = keep("105", terms=terms_of(limit="105"))
    set_prices(desk, ALPHA="104.95")
    gtt.trigger_gtts(desk)
    assert now(desk, kept).state is GttState.ACTIVE
    set_prices(desk, ALPHA="106")
    gtt.trigger_gtts(desk)
    assert now(desk, kept).state is GttState.TRIGGERED


def test_stale_price_triggers_nothing(desk: Desk, keep: Keep, clock: FakeClock) -> None:
    kept = keep()
    set_prices(desk, ALPHA="94")
    clock.forward(minutes=5)
    gtt.trigger_gtts(desk)
    assert now(desk, kept).state is GttState.ACTIVE


def test_expired_order_is_not_placed_even_if_the_price_is_reached(
    desk: Desk, keep: Keep, clock: FakeClock
) -> None:
    kept = keep(expires_on=date(2026, 11, 23))
    clock.forward(days=4)
    set_prices(desk, ALPHA="94")
    gtt.trigger_gtts(desk)
    assert (now(desk, kept).state, orders(desk)) == (GttState.EXPIRED, [])


def test_bracket_is_kept_with_its_exits(desk: Desk, keep: Keep) -> None:
    exits = ExitRequest(Decimal(105), stop_loss=ExitPrices(Decimal(90)))
    kept = keep(exits=exits)
    assert now(desk, kept).exits == exits
    set_prices(desk, ALPHA="94.9")
    gtt.trigger_gtts(desk)
    with desk.database.read() as connection:
        (linked,) = linked_exits.active(connection, "paper")
    assert linked.entry_id == now(desk, kept).order_id


def test_denied_order_is_an_alert(desk: Desk, keep: Keep) -> None:
    kept = keep()
    halts.halt_trading(desk, CAUSE, "the test halts")
    set_prices(desk, ALPHA="94.9")
    gtt.trigger_gtts(desk)
    assert placed(desk, kept).code == "halted"
    with desk.database.read() as connection:
        assert alerts.open_subjects(connection, desk, AlertKind.GTT_DENIED) == {kept.id}


def test_cancelled_order_waits_no_more(desk: Desk, keep: Keep) -> None:
    kept = keep()
    gtt.cancel_gtt(desk, kept.id, CAUSE)
    assert gtt.cancel_gtt(desk, kept.id, CAUSE).state is GttState.CANCELLED
    set_prices(desk, ALPHA="94.9")
    gtt.trigger_gtts(desk)
    assert orders(desk) == []


def test_triggered_order_cannot_be_cancelled_as_a_gtt(desk: Desk, keep: Keep) -> None:
    kept = keep()
    set_prices(desk, ALPHA="94.9")
    gtt.trigger_gtts(desk)
    with pytest.raises(Conflict):
        gtt.cancel_gtt(desk, kept.id, CAUSE)


def test_repeated_key_keeps_one_order(desk: Desk, keep: Keep) -> None:
    assert keep().id == keep().id
    with pytest.raises(KeyReused):
        keep(body="another")
    with desk.database.read() as connection:
        assert len(gtt_orders.all_of(connection, "paper")) == 1
        assert verify(connection).findings == []


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("trigger_price", {"trigger": "100"}),
        ("trigger_price", {"trigger": "95.01"}),
        ("expires_on", {"expires_on": date(2026, 11, 19)}),
        ("expires_on", {"expires_on": date(2028, 1, 1)}),
        ("order.symbol", {"terms": terms_of(symbol="NONE-EQ")}),
        ("order.quantity", {"terms": terms_of("1.5")}),
        ("order.limit_price", {"terms": terms_of(limit="95.01")}),
        ("order.limit_price", {"terms": terms_of(limit=None, type=OrderType.LIMIT)}),
        ("order.session", {"terms": terms_of(session=TradingSession.AFTER_MARKET)}),
        ("target_price", {"exits": ExitRequest(Decimal(94), stop_loss=ExitPrices(Decimal(90)))}),
        ("stop_loss.trigger_price", {"exits": ExitRequest(stop_loss=ExitPrices(Decimal(96)))}),
        ("target_price", {"exits": ExitRequest(Decimal(105)), "terms": terms_of(side=Side.SELL)}),
    ],
)
def test_contradiction_names_the_field_and_keeps_nothing(
    desk: Desk, keep: Keep, field: str, request_: dict[str, Any]
) -> None:
    with pytest.raises(InvalidBody) as raised:
        keep(**request_)
    assert [error["field"] for error in raised.value.errors] == [field]
    with desk.database.read() as connection:
        assert gtt_orders.all_of(connection, "paper") == []


def test_triggered_order_that_is_missing_is_found(desk: Desk, keep: Keep) -> None:
    kept = keep()
    wrong = update(gtt_table).values(state="triggered")
    desk.writer.run(lambda connection: connection.execute(wrong))
    with desk.database.read() as connection:
        assert verify(connection).findings == [f"GTT order {kept.id} is triggered, but its order is missing"]


def test_number_of_waiting_orders_is_limited(desk: Desk, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gtt, "MOST_ACTIVE", 2)
    first = keep(key="one")
    keep(key="two")
    with pytest.raises(Conflict, match="2 GTT orders are waiting"):
        keep(key="three")
    gtt.cancel_gtt(desk, first.id, CAUSE)
    keep(key="three")
