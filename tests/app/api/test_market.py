from __future__ import annotations

from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.desks import set_prices


def test_instruments_are_listed_with_their_terms(desk: Desk, viewer: Client) -> None:
    items = viewer.get("/instruments").json["items"]
    assert [item["symbol"] for item in items] == ["ALPHA-EQ", "BRAVO-EQ", "NOVA-FUT"]
    assert (items[2]["lot"], items[2]["tick"], items[2]["kind"]) == ("50", "0.05", "future")


def test_quote_is_the_latest_price(desk: Desk, viewer: Client) -> None:
    set_prices(desk, ALPHA="101.5")
    quote = viewer.get("/quotes/ALPHA-EQ").json
    assert (quote["last"], quote["bid"], quote["ask"]) == ("101.5", "101.45", "101.55")


def test_symbol_without_a_quote_is_not_found(desk: Desk, viewer: Client) -> None:
    assert problem_of(viewer.get("/quotes/NOBODY-KNOWS")) == (404, "not_found")


def test_market_that_never_closes_is_open(desk: Desk, viewer: Client) -> None:
    status = viewer.get("/market/status").json
    assert status["is_open"] is True
    assert {each["segment"] for each in status["segments"]} == {"equity", "derivatives"}
    assert all(each["phase"] == "continuous" for each in status["segments"])
