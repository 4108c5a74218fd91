"""GTT orders: kept until their trigger price is reached, then placed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import AlwaysOpen
from algosat.domain.gtt import GttChange, GttOrder, GttRequest, GttState, SecondLeg
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
        second: SecondLeg | None = None,
        key: str = "one",
        body: str = "body",
    ) -> GttOrder:
        idempotency_key = IdempotencyKey("user:tester", key, body)
        wanted = terms or terms_of(limit="95")
        request = GttRequest(wanted, Decimal(trigger), exits, expires_on, second)
        return gtt.place_gtt(desk, request, CAUSE, key=idempotency_key)[0]

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


def test_last_day_ends_at_midnight_of_the_venue(desk: Desk, clock: FakeClock) -> None:
    coins = replace(desk, calendar=AlwaysOpen(UTC))
    clock.at = datetime(2026, 11, 20, 20, tzinfo=UTC)  # the 21st, exchange time
    set_prices(desk)
    request = GttRequest(terms_of(limit="95"), Decimal(95), None, date(2026, 11, 20), None)
    kept, _ = gtt.place_gtt(coins, request, CAUSE, key=IdempotencyKey("user:tester", "coins", "body"))
    assert (kept.expires_at, kept.expires_on) == (datetime(2026, 11, 21, tzinfo=UTC), date(2026, 11, 20))
    with pytest.raises(InvalidBody, match="not between today, 2026-11-21"):
        gtt.place_gtt(desk, request, CAUSE, key=IdempotencyKey("user:tester", "shares", "body"))


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
        assert len(gtt_orders.page(connection, "paper", limit=10)) == 1
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
        assert gtt_orders.page(connection, "paper", limit=10) == []


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


SECOND_LEG = SecondLeg(Decimal(105), Decimal("104.50"))


@pytest.mark.parametrize(("price", "limit"), [("94.90", "95"), ("105.10", "104.50")])
def test_leg_that_is_reached_first_places_the_order_with_its_price(
    desk: Desk, keep: Keep, price: str, limit: str
) -> None:
    kept = keep(second=SECOND_LEG)
    assert now(desk, kept).second == SECOND_LEG
    gtt.trigger_gtts(desk)
    assert orders(desk) == []
    set_prices(desk, ALPHA=price)
    gtt.trigger_gtts(desk)
    assert placed(desk, kept).terms.limit_price == Decimal(limit)
    set_prices(desk, ALPHA="100")
    set_prices(desk, ALPHA="94" if limit != "95" else "106")
    gtt.trigger_gtts(desk)
    assert len(orders(desk)) == 1


@pytest.mark.parametrize(
    ("field", "second", "request_"),
    [
        ("second.trigger_price", SecondLeg(Decimal(94), Decimal(94)), {}),
        ("second.trigger_price", SecondLeg(Decimal(100), Decimal(100)), {}),
        ("second.trigger_price", SecondLeg(Decimal("105.01"), Decimal(105)), {}),
        ("second.limit_price", SecondLeg(Decimal(105)), {}),
        ("second.limit_price", SecondLeg(Decimal(105), Decimal("104.51")), {}),
        ("second.limit_price", SECOND_LEG, {"terms": terms_of(limit=None)}),
        ("second", SECOND_LEG, {"exits": ExitRequest(Decimal(105), stop_loss=ExitPrices(Decimal(90)))}),
        (
            "second",
            SECOND_LEG,
            {"terms": terms_of(limit=None, type=OrderType.STOP, trigger_price=Decimal(96))},
        ),
    ],
)
def test_contradiction_of_the_second_leg_names_the_field(
    desk: Desk, keep: Keep, field: str, second: SecondLeg, request_: dict[str, Any]
) -> None:
    with pytest.raises(InvalidBody) as raised:
        keep(second=second, **request_)
    assert [error["field"] for error in raised.value.errors] == [field]
    with desk.database.read() as connection:
        assert gtt_orders.page(connection, "paper", limit=10) == []


def change(desk: Desk, of: GttOrder, **values: Any) -> GttOrder:
    amounts: dict[str, Any] = {
        name: Decimal(value) if isinstance(value, str) else value for name, value in values.items()
    }
    return gtt.change_gtt(desk, of.id, GttChange(**amounts), CAUSE)


def test_changed_order_is_placed_as_changed(desk: Desk, keep: Keep, clock: FakeClock) -> None:
    kept = keep()
    clock.forward(seconds=1)
    day = date(2026, 12, 1)
    changed = change(desk, kept, trigger_price="97", limit_price="97.5", quantity="20", expires_on=day)
    assert now(desk, kept) == changed
    assert (changed.version, changed.created_at, changed.expires_on) == (2, kept.created_at, day)
    assert change(desk, kept, quantity="20") == changed
    set_prices(desk, ALPHA="96.9")
    gtt.trigger_gtts(desk)
    terms = placed(desk, kept).terms
    assert (terms.quantity, terms.limit_price) == (Decimal(20), Decimal("97.5"))
    with pytest.raises(Conflict, match="triggered"):
        change(desk, kept, quantity="30")


def test_second_leg_is_changed(desk: Desk, keep: Keep) -> None:
    kept = keep(second=SECOND_LEG)
    changed = change(desk, kept, second_trigger_price="110", second_limit_price="109")
    assert changed.second == SecondLeg(Decimal(110), Decimal(109))
    assert change(desk, kept, limit_price="94.5").second == changed.second


def test_unchanged_trigger_keeps_its_side_beyond_the_price(desk: Desk, keep: Keep, clock: FakeClock) -> None:
    kept = keep(second=SECOND_LEG)
    set_prices(desk, ALPHA="94")  # not seen by the engine yet
    changed = change(desk, kept, quantity="20")
    assert (changed.is_above, changed.second) == (False, SECOND_LEG)
    gtt.trigger_gtts(desk)
    assert now(desk, kept).state is GttState.TRIGGERED


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("trigger_price", {"trigger_price": "100"}),
        ("trigger_price", {"trigger_price": "95.01"}),
        ("order.quantity", {"quantity": "1.5"}),
        ("order.limit_price", {"limit_price": "95.01"}),
        ("expires_on", {"expires_on": date(2026, 11, 19)}),
        ("second.trigger_price", {"second_trigger_price": "110"}),
    ],
)
def test_wrong_change_names_the_field_and_changes_nothing(
    desk: Desk, keep: Keep, field: str, values: dict[str, Any]
) -> None:
    kept = keep()
    with pytest.raises(InvalidBody) as raised:
        change(desk, kept, **values)
    assert [error["field"] for error in raised.value.errors] == [field]
    assert now(desk, kept) == kept


def test_change_to_the_same_side_as_the_second_leg_is_refused(desk: Desk, keep: Keep) -> None:
    kept = keep(second=SECOND_LEG)
    for values in ({"trigger_price": "110"}, {"second_trigger_price": "94"}):
        with pytest.raises(InvalidBody, match=r"second\.trigger_price"):
            change(desk, kept, **values)
    assert now(desk, kept) == kept
