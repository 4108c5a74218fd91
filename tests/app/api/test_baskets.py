from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from algosat.domain.orders import OrderType, Product
from algosat.domain.scope import ACCOUNT
from algosat.trading import limits
from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.desks import CAUSE, hold, sell


def leg(quantity: str, symbol: str = "ALPHA-EQ") -> dict[str, Any]:
    return {"symbol": symbol, "side": "buy", "quantity": quantity, "type": "limit", "limit_price": "100"}


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def test_denied_leg_keeps_its_place_and_does_not_affect_the_others(desk: Desk, trader: Client) -> None:
    answer = trader.post(
        "/orders/basket",
        json={"orders": [leg("10"), leg("10", "NOVA-FUT"), leg("20", "BRAVO-EQ")]},
        headers=keyed("basket-1"),
    )
    assert answer.status_code == 201
    assert [(each["symbol"], each["status"]) for each in answer.json["items"]] == [
        ("ALPHA-EQ", "created"),
        ("NOVA-FUT", "denied"),
        ("BRAVO-EQ", "created"),
    ]


def test_repeated_basket_places_nothing(desk: Desk, trader: Client) -> None:
    basket = {"orders": [leg("10"), leg("20", "BRAVO-EQ")]}
    first = trader.post("/orders/basket", json=basket, headers=keyed("basket-1"))
    trader.delete(f"/orders/{first.json['items'][0]['id']}")
    again = trader.post("/orders/basket", json=basket, headers=keyed("basket-1"))
    assert first.data == again.data
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(trader.get("/orders").json["items"]) == 2


def test_empty_or_oversized_basket_is_refused_and_changes_nothing(desk: Desk, trader: Client) -> None:
    for legs in ([], [leg("1")] * 21):
        answer = trader.post("/orders/basket", json={"orders": legs}, headers=keyed("basket-1"))
        assert problem_of(answer) == (422, "invalid_body")
    assert trader.get("/orders").json["items"] == []


def test_basket_without_a_key_is_refused_with_the_remedy(desk: Desk, trader: Client) -> None:
    answer = trader.post("/orders/basket", json={"orders": [leg("1")]}, headers={"Idempotency-Key": ""})
    assert answer.status_code == 400


def test_large_order_becomes_one_order_for_each_slice(desk: Desk, trader: Client) -> None:
    answer = trader.post("/orders/sliced", json=leg("2300"), headers=keyed("sliced-1"))
    assert answer.status_code == 201
    assert [each["quantity"] for each in answer.json["items"]] == ["1000", "1000", "300"]
    assert len({each["id"] for each in answer.json["items"]}) == 3


def test_denied_leg_denies_a_basket_of_all_or_none(desk: Desk, trader: Client) -> None:
    basket = {"orders": [leg("10"), leg("10", "NOVA-FUT"), leg("20", "BRAVO-EQ")], "all_or_none": True}
    answer = trader.post("/orders/basket", json=basket, headers=keyed("basket-1"))
    assert problem_of(answer) == (422, "basket_denied")
    (denied,) = answer.json["errors"]
    assert denied["field"] == "orders.1"
    assert f"leg 2 ({denied['code']})" in answer.json["detail"]
    stored = trader.get("/orders").json["items"]
    assert [each["status"] for each in stored] == ["denied"] * 3
    again = trader.post("/orders/basket", json=basket, headers=keyed("basket-1"))
    assert problem_of(again) == (422, "basket_denied")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(trader.get("/orders").json["items"]) == 3


def test_basket_of_all_or_none_is_placed_if_every_leg_passes(desk: Desk, trader: Client) -> None:
    basket = {"orders": [leg("10"), leg("20", "BRAVO-EQ")], "all_or_none": True}
    answer = trader.post("/orders/basket", json=basket, headers=keyed("basket-1"))
    assert answer.status_code == 201
    assert [each["status"] for each in answer.json["items"]] == ["created"] * 2


def test_key_of_a_basket_is_the_same_with_the_default_written_out(desk: Desk, trader: Client) -> None:
    basket: dict[str, Any] = {"orders": [leg("10")]}
    first = trader.post("/orders/basket", json=basket, headers=keyed("basket-1"))
    again = trader.post("/orders/basket", json={**basket, "all_or_none": False}, headers=keyed("basket-1"))
    assert first.data == again.data


def test_value_that_is_no_boolean_is_refused_with_its_place(desk: Desk, trader: Client) -> None:
    answer = trader.post(
        "/orders/basket", json={"orders": [leg("10")], "all_or_none": "yes"}, headers=keyed("basket-1")
    )
    assert problem_of(answer) == (422, "invalid_body")
    assert answer.json["errors"][0]["field"] == "all_or_none"
    assert trader.get("/orders").json["items"] == []


def test_later_slices_name_the_first(desk: Desk, trader: Client) -> None:
    answer = trader.post("/orders/sliced", json=leg("2300"), headers=keyed("sliced-1"))
    first, *later = answer.json["items"]
    assert [each["slice_of"] for each in later] == [first["id"]] * 2
    assert first["slice_of"] is None


def test_position_is_reached_from_the_present_one(trader: Client, desk: Desk) -> None:
    def reach(quantity: str, key: str) -> Any:
        body = {"symbol": "ALPHA-EQ", "quantity": quantity, "product": "intraday"}
        return trader.post("/orders/target-position", json=body, headers={"Idempotency-Key": key})

    hold(desk, "10", product=Product.INTRADAY)
    first = reach("-5", "one")
    assert first.status_code == 201
    assert [(each["side"], each["quantity"]) for each in first.json["items"]] == [
        ("sell", "10"),
        ("sell", "5"),
    ]
    assert reach("-5", "one").json == first.json
    assert reach("20", "two").status_code == 409
    wrong = reach("much", "three")
    assert [error["field"] for error in wrong.json["errors"]] == ["quantity"]


def test_target_position_beside_a_stop_over_the_whole_position_is_denied(trader: Client, desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    stop = OrderType.STOP
    sell(desk, limit=None, type=stop, trigger_price=Decimal(95), reduce_only=True, product=Product.INTRADAY)
    body = {"symbol": "ALPHA-EQ", "quantity": "0", "product": "intraday"}
    answer = trader.post("/orders/target-position", json=body, headers=keyed("one"))
    assert problem_of(answer) == (422, "more_than_held")
    assert trader.get(answer.headers["Location"]).json["status"] == "denied"
    again = trader.post("/orders/target-position", json=body, headers=keyed("one"))
    assert problem_of(again) == (422, "more_than_held")
    assert again.headers["Idempotency-Replayed"] == "true"


def test_denied_entry_of_a_flip_keeps_its_place_beside_the_exit(trader: Client, desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    limits.change(desk, ACCOUNT, {"max_order_quantity": "20"}, CAUSE)
    body = {"symbol": "ALPHA-EQ", "quantity": "-30", "product": "intraday"}
    answer = trader.post("/orders/target-position", json=body, headers=keyed("one"))
    assert answer.status_code == 201
    assert [each["status"] for each in answer.json["items"]] == ["created", "denied"]


@pytest.mark.parametrize("field", ["stop_loss", "target_price", "trail_amount", "exits_expire_on"])
def test_linked_exits_of_a_leg_or_slice_are_refused_with_their_place(
    desk: Desk, trader: Client, field: str
) -> None:
    value: Any = {"trigger_price": "95"} if field == "stop_loss" else "95"
    linked = {**leg("10"), field: value}
    answer = trader.post("/orders/basket", json={"orders": [leg("5"), linked]}, headers=keyed("one"))
    (error,) = answer.json["errors"]
    assert (answer.status_code, error["field"]) == (422, f"orders.1.{field}")
    answer = trader.post("/orders/sliced", json=linked, headers=keyed("two"))
    (error,) = answer.json["errors"]
    assert (answer.status_code, error["field"]) == (422, field)
    assert trader.get("/orders").json["items"] == []


def test_denied_sliced_order_is_a_denial(trader: Client, desk: Desk) -> None:
    answer = trader.post("/orders/sliced", json=leg("2300") | {"limit_price": "250"}, headers=keyed("one"))
    assert answer.status_code == 422
    (stored,) = trader.get("/orders").json["items"]
    assert (stored["status"], stored["code"]) == ("denied", answer.json["code"])
