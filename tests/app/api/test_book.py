from __future__ import annotations

from decimal import Decimal

from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.desks import hold, set_prices


def test_position_shows_average_price_and_unrealised_profit(desk: Desk, viewer: Client) -> None:
    hold(desk, "10", at="100")
    set_prices(desk, ALPHA="110")
    (position,) = viewer.get("/positions").json["items"]
    assert (position["symbol"], position["quantity"]) == ("ALPHA-EQ", "10")
    assert (position["average_price"], position["last_price"]) == ("100", "110")
    assert position["unrealised"] == "100"


def test_positions_are_filtered_by_strategy(desk: Desk, viewer: Client) -> None:
    hold(desk, "10", strategy="one")
    hold(desk, "20")
    (position,) = viewer.get("/positions?strategy=one").json["items"]
    assert (position["strategy"], position["quantity"]) == ("one", "10")


def test_closing_leaves_out_what_working_orders_close(desk: Desk, trader: Client) -> None:
    hold(desk, "10")
    answer = trader.post("/positions/ALPHA-EQ/close")
    assert answer.status_code == 201
    (order,) = answer.json["items"]
    assert (order["side"], order["quantity"], order["reduce_only"]) == ("sell", "10", True)
    assert problem_of(trader.post("/positions/ALPHA-EQ/close")) == (409, "nothing_to_close")


def test_closing_again_with_the_same_key_returns_the_same_order(desk: Desk, trader: Client) -> None:
    hold(desk, "10")
    headers = {"Idempotency-Key": "close-1"}
    first, again = (trader.post("/positions/ALPHA-EQ/close", headers=headers) for _ in range(2))
    assert first.json == again.json
    other = trader.post("/positions/BRAVO-EQ/close", headers=headers)
    assert problem_of(other) == (409, "idempotency_key_reused")


def test_closing_all_closes_the_positions_of_each_strategy(desk: Desk, trader: Client) -> None:
    hold(desk, "10", strategy="one")
    hold(desk, "20")
    orders = trader.post("/positions/close-all").json["items"]
    assert {(order["strategy"], order["quantity"]) for order in orders} == {("one", "10"), (None, "20")}
    assert trader.post("/positions/close-all").json["items"] == []


def test_trades_are_listed_newest_first(desk: Desk, viewer: Client) -> None:
    first, second = hold(desk, "10"), hold(desk, "20")
    trades = viewer.get("/trades").json["items"]
    assert [trade["order_id"] for trade in trades] == [second.id, first.id]
    (only,) = viewer.get(f"/trades?order_id={first.id}").json["items"]
    assert (only["quantity"], only["price"], only["side"]) == ("10", "100", "buy")


def test_funds_add_up(desk: Desk, viewer: Client) -> None:
    hold(desk, "10", at="100")
    set_prices(desk, ALPHA="110")
    funds = {name: Decimal(value) for name, value in viewer.get("/funds").json.items() if name != "account"}
    assert funds["deposited"] == 1_000_000
    assert funds["unrealised"] == 100
    assert funds["equity"] == funds["cash"] + funds["unrealised"]
    assert funds["available"] == funds["equity"] - funds["margin_used"]
