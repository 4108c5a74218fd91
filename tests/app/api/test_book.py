from __future__ import annotations

from decimal import Decimal

from algosat.trading.desk import Desk
from tests.app.client import Client
from tests.app.desks import hold, set_prices

NAMES = {"other_fees", "account", "currency"}  # fields of the funds that are no amounts


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


def test_trades_are_listed_newest_first(desk: Desk, viewer: Client) -> None:
    first, second = hold(desk, "10"), hold(desk, "20")
    trades = viewer.get("/trades").json["items"]
    assert [trade["order_id"] for trade in trades] == [second.id, first.id]
    (only,) = viewer.get(f"/trades?order_id={first.id}").json["items"]
    assert (only["quantity"], only["price"], only["side"]) == ("10", "100", "buy")


def test_funds_add_up(desk: Desk, viewer: Client) -> None:
    hold(desk, "10", at="100")
    set_prices(desk, ALPHA="110")
    funds = {name: Decimal(value) for name, value in viewer.get("/funds").json.items() if name not in NAMES}
    assert funds["deposited"] == 1_000_000
    assert funds["unrealised"] == 100
    assert funds["equity"] == funds["cash"] + funds["unrealised"]
    assert funds["available"] == funds["equity"] - funds["margin_used"]
