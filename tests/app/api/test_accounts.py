"""Two accounts of different currencies: each request is about one of them, the first by default."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from algosat.api.all_routes import ROUTES
from algosat.api.baskets import Basket, TargetPosition
from algosat.api.closes import AllPositions, PositionSelection
from algosat.api.context import NAME
from algosat.api.orders import AccountOrder, NewOrder
from algosat.api.request_models import Input
from algosat.app import create_app
from algosat.config.loader import load
from algosat.store import ledger
from algosat.store.wakeup.unix_socket import SocketNotifier
from algosat.trading.desk import Desk, Desks
from tests.app import fakes
from tests.app.builders import account_data, algosat_data, write_configuration
from tests.app.client import Client, problem_of
from tests.app.desks import (
    SHARE,
    accepted,
    buy,
    hold,
    instruments,
    order_now,
    replace_instruments,
    set_prices,
)

LIMIT: dict[str, Any] = {"type": "limit", "limit_price": "100"}
ORDER = {"symbol": SHARE, "side": "buy", "quantity": "5", **LIMIT}
# Routes about one account whose query or body does not name it, and what tells the account instead.
BY_ID = {
    "GET /orders/{order_id}", "GET /orders/{order_id}/linked", "GET /orders/{order_id}/events",
    "PATCH /orders/{order_id}", "DELETE /orders/{order_id}", "GET /orders/gtt/{order_id}",
    "PATCH /orders/gtt/{order_id}", "DELETE /orders/gtt/{order_id}",
    "GET /closes/{close_id}", "DELETE /closes/{close_id}",
    "GET /conversions/{conversion_id}", "DELETE /conversions/{conversion_id}",
    "POST /conversions/{conversion_id}/settle",
}  # fmt: skip


@pytest.fixture
def app(directory: Path) -> Iterator[Flask]:
    """Yield the API of a server with two accounts."""
    url = load(directory).algosat.database.url.get_secret_value()
    accounts = [account_data(), account_data(name="dollars", currency="USD", charges__brokerage="none")]
    write_configuration(directory, algosat_data(directory, accounts=accounts, database__url=url))
    app = create_app(load(directory), directory, passwords=fakes.quick_passwords())
    for desk in app.extensions[NAME].desks:
        _fund(desk)
    yield app
    app.extensions[NAME].close()


def _fund(desk: Desk) -> None:
    replace_instruments(desk, instruments())
    desk.writer.run(lambda connection: ledger.deposit(connection, desk.account, Decimal(1_000_000)))
    set_prices(desk)


@pytest.fixture
def desks(app: Flask) -> Desks:
    found: Desks = app.extensions[NAME].desks
    return found


def items(client: Client, path: str) -> list[Any]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json["items"]
    return found


def test_order_goes_to_the_account_that_is_named_and_says_that_it_is_paper(trader: Client) -> None:
    first, second = trader.place(**LIMIT).json, trader.place(account="dollars", **LIMIT).json
    assert (first["account"], first["mode"]) == ("paper", "PAPER")
    assert (second["account"], second["mode"]) == ("dollars", "PAPER")
    assert [each["id"] for each in items(trader, "/orders")] == [first["id"]]
    assert [each["id"] for each in items(trader, "/orders?account=dollars")] == [second["id"]]


def test_order_is_cancelled_by_its_id_whatever_its_account(trader: Client, desks: Desks) -> None:
    order = trader.place(account="dollars", **LIMIT).json["id"]
    assert trader.delete(f"/orders/{order}").json["status"] == "cancelled"
    assert order_now(desks.first, order).status == "cancelled"


@pytest.mark.sqlite  # whose wake-ups are sockets
def test_request_about_an_order_wakes_the_lane_of_its_account(
    trader: Client, desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, dollars = desks
    order = accepted(dollars, buy(dollars, "10"))
    notified: list[str] = []
    monkeypatch.setattr(
        SocketNotifier, "notify", lambda _self, channel, _message="": notified.append(channel)
    )
    trader.patch(f"/orders/{order.id}", json={"quantity": "9"})
    trader.delete(f"/orders/{order.id}")
    assert notified == [dollars.engine_channel] * 2
    assert dollars.engine_channel != desks.first.engine_channel


@pytest.mark.parametrize(
    "body",
    [
        NewOrder.model_validate(ORDER),
        AccountOrder.model_validate(ORDER),
        Basket.model_validate({"orders": (ORDER,)}),
        TargetPosition.model_validate({"symbol": SHARE, "quantity": "5"}),
        PositionSelection(),
        AllPositions(),
    ],
    ids=lambda body: type(body).__name__,
)
def test_body_without_an_account_is_hashed_as_by_a_release_before_accounts(body: Input) -> None:
    assert "account" not in str(body.model_dump())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/orders/basket", {"orders": [{"symbol": SHARE, "side": "buy", "quantity": "5", **LIMIT}]}),
        ("/orders/sliced", {"symbol": SHARE, "side": "buy", "quantity": "5", **LIMIT}),
        ("/orders/target-position", {"symbol": SHARE, "quantity": "5", **LIMIT}),
    ],
)
def test_several_orders_go_to_the_account_that_is_named(
    trader: Client, path: str, body: dict[str, Any]
) -> None:
    placed = trader.post(path, json={**body, "account": "dollars"}, headers={"Idempotency-Key": "k"})
    assert [each["account"] for each in placed.json["items"]] == ["dollars"]


def test_cancel_all_cancels_the_orders_of_one_account(trader: Client) -> None:
    first, second = trader.place(**LIMIT).json["id"], trader.place(account="dollars", **LIMIT).json["id"]
    cancelled = trader.post("/orders/cancel-all", json={"account": "dollars"}).json["items"]
    assert [each["id"] for each in cancelled] == [second]
    assert trader.get(f"/orders/{first}").json["status"] == "created"


def test_positions_closes_trades_and_money_are_those_of_one_account(trader: Client, desks: Desks) -> None:
    rupees, dollars = desks
    hold(rupees, "10")
    hold(dollars, "3")
    assert [each["quantity"] for each in items(trader, "/positions")] == ["10"]
    assert [each["quantity"] for each in items(trader, "/positions?account=dollars")] == ["3"]
    assert [each["quantity"] for each in items(trader, "/trades?account=dollars")] == ["3"]
    assert [each["trades"] for each in items(trader, "/pnl?account=dollars")] == [1]
    assert trader.get("/funds?account=dollars").json["currency"] == "USD"
    close = trader.post(f"/positions/{SHARE}/close", json={"account": "dollars"})
    assert (close.json["account"], close.json["mode"], len(close.json["lines"])) == ("dollars", "PAPER", 1)
    assert items(trader, "/closes") == []
    assert [each["id"] for each in items(trader, "/closes?account=dollars")] == [close.json["id"]]
    withdrawn = trader.delete(f"/closes/{close.json['id']}")
    assert withdrawn.json["state"] == "stopped"


def test_close_all_closes_one_account(trader: Client, desks: Desks) -> None:
    rupees, dollars = desks
    hold(rupees, "10")
    hold(dollars, "3")
    close = trader.post("/positions/close-all", json={"account": "dollars"}).json
    assert [line["held"] for line in close["lines"]] == ["3"]


def test_gtt_order_waits_on_the_account_that_is_named(trader: Client) -> None:
    order = {"symbol": SHARE, "side": "buy", "quantity": "5", "account": "dollars", **LIMIT}
    body = {"order": order, "trigger_price": "95"}
    placed = trader.post("/orders/gtt", json=body, headers={"Idempotency-Key": "k"}).json
    assert (placed["account"], placed["mode"]) == ("dollars", "PAPER")
    assert items(trader, "/orders/gtt") == []
    assert [each["id"] for each in items(trader, "/orders/gtt?account=dollars")] == [placed["id"]]
    assert trader.delete(f"/orders/gtt/{placed['id']}").json["state"] == "cancelled"


def test_prices_are_those_of_the_accounts_market(viewer: Client, desks: Desks) -> None:
    _, dollars = desks
    set_prices(dollars, ALPHA="250")
    assert viewer.get(f"/quotes/{SHARE}").json["last"] == "100"
    assert viewer.get(f"/quotes/{SHARE}?account=dollars").json["last"] == "250"
    assert len(items(viewer, "/instruments?account=dollars")) == len(instruments())
    assert viewer.get("/market/status?account=dollars").json["is_open"] is True


def test_currencies_are_never_added_to_each_other(viewer: Client, desks: Desks) -> None:
    _, dollars = desks
    hold(dollars, "3")
    answer = viewer.get("/accounts").json
    assert [(each["account"], each["is_default"]) for each in answer["items"]] == [
        ("paper", True),
        ("dollars", False),
    ]
    assert [(each["currency"], each["accounts"], each["cash"]) for each in answer["totals"]] == [
        ("INR", ["paper"], "1000000"),
        ("USD", ["dollars"], "1000000"),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/orders?account=yen", None),
        ("get", "/funds?account=yen", None),
        ("get", "/quotes/ALPHA-EQ?account=yen", None),
        ("get", "/alerts?account=yen", None),
        ("post", "/orders", {"symbol": SHARE, "side": "buy", "quantity": "1", "account": "yen", **LIMIT}),
        ("post", "/positions/close-all", {"account": "yen"}),
        ("post", "/orders/cancel-all", {"account": "yen"}),
    ],
)
def test_unknown_account_is_refused_with_the_known_ones(
    trader: Client, method: str, path: str, body: dict[str, Any] | None
) -> None:
    headers = {"Idempotency-Key": "k"}
    answer = getattr(trader, method)(path, headers=headers, **({} if body is None else {"json": body}))
    assert problem_of(answer) == (404, "not_found")
    assert "paper, dollars" in answer.json["detail"]


def test_repeated_key_without_an_account_is_that_of_a_release_before_accounts(trader: Client) -> None:
    first, again = (trader.place("key", **LIMIT) for _ in range(2))
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json["id"] == first.json["id"]
    other = trader.place("key", account="dollars", **LIMIT)
    assert problem_of(other) == (409, "idempotency_key_reused")


def test_working_orders_of_one_account_do_not_use_the_other_ones_money(trader: Client, desks: Desks) -> None:
    buy(desks.first, "10")
    assert trader.get("/funds").json["margin_used"] == "1000"
    assert trader.get("/funds?account=dollars").json["margin_used"] == "0"


def test_every_route_of_orders_book_and_market_takes_an_account() -> None:
    wanted = (
        *("/orders", "/positions", "/closes", "/conversions", "/trades", "/funds", "/pnl"),
        *("/instruments", "/quotes"),
    )
    without = {
        route.endpoint
        for route in ROUTES
        if route.path.startswith(wanted)
        and not any(
            model is not None and ("account" in model.model_fields or "order" in model.model_fields)
            for model in (route.query, route.body)
        )
    }
    assert without == BY_ID


STRATEGY = {
    "class": "moving-average-crossover",
    "parameters": {"symbols": [SHARE], "quantity": "1"},
}


def test_strategy_trades_on_the_account_that_is_named_and_stays_there(trader: Client) -> None:
    defined = trader.put("/strategies/trend", json={**STRATEGY, "account": "dollars"}).json
    assert (defined["account"], defined["mode"]) == ("dollars", "PAPER")
    assert trader.put("/strategies/trend", json=STRATEGY).json["account"] == "dollars"
    assert trader.put("/strategies/other", json=STRATEGY).json["account"] == "paper"


def test_strategy_never_changes_its_account(trader: Client) -> None:
    trader.put("/strategies/trend", json={**STRATEGY, "account": "dollars"})
    answer = trader.put("/strategies/trend", json={**STRATEGY, "account": "paper"})
    assert problem_of(answer) == (422, "invalid_body")
    assert trader.get("/strategies/trend").json["account"] == "dollars"


def test_pnl_exit_of_a_strategy_is_on_the_account_on_which_it_trades(trader: Client) -> None:
    trader.put("/strategies/trend", json={**STRATEGY, "account": "dollars"})
    put = trader.put("/risk/pnl-exits/trend", json={"loss_limit": "500"})
    assert put.json["account"] == "dollars"
    assert items(trader, "/risk/pnl-exits") == []
    assert len(items(trader, "/risk/pnl-exits?account=dollars")) == 1
    assert trader.delete("/risk/pnl-exits/trend").json["account"] == "dollars"
