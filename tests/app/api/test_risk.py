from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from algosat.domain.machine import Machine
from algosat.domain.orders import PendingRequest
from algosat.store.write_lock import exclusive
from algosat.trading import cancel, store_owner
from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.desks import CAUSE, accepted, buy, hold, order_now, set_prices

LIMIT: dict[str, Any] = {"type": "limit", "limit_price": "100"}


def test_risk_shows_limits_and_their_usage(desk: Desk, trader: Client) -> None:
    trader.place(**LIMIT)
    risk = trader.get("/risk").json
    assert (risk["halted"], risk["halts"]) == (False, [])
    assert risk["limits"]["max_order_value"] == "1000000"
    assert (risk["usage"]["open_orders"], risk["usage"]["gross_exposure"]) == (1, "1000")
    assert (risk["usage"]["orders_today"], risk["usage"]["day_result"]) == (1, "0")


def test_daily_loss_is_shown_as_the_gate_counts_it(desk: Desk, trader: Client) -> None:
    trader.place(**LIMIT)
    hold(desk, "10")
    set_prices(desk, ALPHA="97")
    lost = Decimal(trader.get("/risk").json["usage"]["day_result"])
    assert -32 < lost < -30  # and fees


def test_limits_of_a_strategy_are_shown(desk: Desk, admin: Client) -> None:
    admin.put("/risk/limits", json={"scope": "trend", "limits": {"max_open_orders": 3}})
    risk = admin.get("/risk").json
    assert [(each["scope"], each["limits"]["max_open_orders"]) for each in risk["strategies"]] == [
        ("trend", 3)
    ]
    assert risk["limits"]["max_open_orders"] != 3


def test_changed_limit_applies_to_the_next_order(desk: Desk, admin: Client, trader: Client) -> None:
    answer = admin.put("/risk/limits", json={"limits": {"max_order_quantity": "5"}})
    assert (answer.status_code, answer.json["limits"]["max_order_quantity"]) == (200, "5")
    assert problem_of(trader.place(**LIMIT))[0] == 422
    admin.put("/risk/limits", json={"limits": {"max_order_quantity": None}})
    assert trader.place(**LIMIT).status_code == 201


@pytest.mark.parametrize(
    "limits", [{}, {"max_order_quantity": "-1"}, {"max_open_orders": 1.5}, {"max_open_orders": 10**30},
               {"max_lunch": 1}, {"allowed_symbols": ["a b"]}, {"stale_quote_seconds": "10"},
               {"stale_quote_seconds": 0.001}],
)  # fmt: skip
def test_invalid_limits_change_nothing(desk: Desk, admin: Client, limits: dict[str, Any]) -> None:
    before = admin.get("/risk").json["limits"]
    assert problem_of(admin.put("/risk/limits", json={"limits": limits}))[0] == 422
    assert admin.get("/risk").json["limits"] == before


def test_halt_stops_new_orders_cancels_old_ones_and_lasts_until_resumed(
    desk: Desk, trader: Client, admin: Client
) -> None:
    working = trader.place(**LIMIT).json["id"]
    halted = trader.post("/risk/halt", json={"reason": "something smells"}).json
    assert (halted["actor"], halted["reason"]) == ("user:trader", "something smells")
    assert trader.get(f"/orders/{working}").json["status"] == "cancelled"
    assert problem_of(trader.place(**LIMIT)) == (422, "halted")
    assert problem_of(trader.post("/risk/resume")) == (403, "forbidden")
    assert admin.post("/risk/resume").json == {"was_halted": True, "halted": False}
    assert trader.place(**LIMIT).status_code == 201


@pytest.mark.parametrize("reason", [None, "", "  ", "ab", "x" * 501, "with \x00 in it", 7])
def test_halt_without_a_reason_is_refused(desk: Desk, trader: Client, reason: Any) -> None:
    assert problem_of(trader.post("/risk/halt", json={"reason": reason})) == (422, "invalid_body")
    assert trader.get("/risk").json["halted"] is False


def test_pnl_exit_of_a_strategy_is_set_shown_and_removed(desk: Desk, trader: Client) -> None:
    hold(desk, "10", strategy="trend")
    answer = trader.put("/risk/pnl-exits/trend", json={"profit_target": "500", "loss_limit": "300"})
    assert answer.status_code == 200
    assert (answer.json["profit_target"], answer.json["loss_limit"], answer.json["halted"]) == (
        "500", "300", False,
    )  # fmt: skip
    assert trader.get("/risk/pnl-exits/trend").json == answer.json
    assert trader.get("/risk/pnl-exits").json["items"] == [answer.json]
    assert answer.json["account"] == "paper"
    for query in ("?account=paper", "?account=nobody"):
        assert trader.get(f"/risk/pnl-exits{query}").status_code == (404 if "nobody" in query else 200)
    assert trader.delete("/risk/pnl-exits/trend").status_code == 200
    assert problem_of(trader.get("/risk/pnl-exits/trend")) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"loss_limit": "-1"}, "loss_limit"),
        ({"profit_target": "0"}, "profit_target"),
        ({"loss": "1"}, "loss"),
    ],
)
def test_wrong_pnl_exit_names_the_field(desk: Desk, trader: Client, body: dict[str, Any], field: str) -> None:
    hold(desk, "10", strategy="trend")
    answer = trader.put("/risk/pnl-exits/trend", json=body)
    assert problem_of(answer) == (422, "invalid_body")
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert problem_of(trader.put("/risk/pnl-exits/trend", json={})) == (422, "invalid_body")
    assert trader.get("/risk/pnl-exits").json["items"] == []


def test_limits_of_all_accounts_are_shown_with_their_usage(desk: Desk, admin: Client, trader: Client) -> None:
    trader.place(**LIMIT)
    answer = admin.put("/risk/totals/inr", json={"max_gross_exposure": "5000", "max_open_orders": 7})
    assert (answer.json["max_gross_exposure"], answer.json["max_daily_loss"]) == ("5000", None)
    (total,) = trader.get("/risk/totals").json["items"]
    assert (total["currency"], total["mode"], total["accounts"]) == ("INR", "PAPER", ["paper"])
    assert (total["limits"]["max_open_orders"], total["open_orders"], total["gross_exposure"]) == (
        7,
        1,
        "1000",
    )
    assert problem_of(admin.put("/risk/totals/usd", json={"max_open_orders": 1}))[0] == 404
    assert trader.put("/risk/totals/inr", json={"max_open_orders": 9}).status_code == 403


def test_halt_of_one_account_names_it(desk: Desk, admin: Client, trader: Client) -> None:
    halted = trader.post("/risk/halt", json={"reason": "looks wrong", "scope": "account:paper"})
    assert halted.json["scope"] == "account:paper"
    assert problem_of(trader.place(**LIMIT))[0] == 422
    assert trader.get("/risk").json["halted"] is False
    assert admin.post("/risk/resume", json={"scope": "account:paper"}).json["was_halted"]
    unknown = trader.post("/risk/halt", json={"reason": "looks wrong", "scope": "account:yen"})
    assert problem_of(unknown)[0] == 404


def test_trading_is_not_resumed_while_the_store_belongs_to_another_machine(admin: Client, desk: Desk) -> None:
    here, there = Machine("1a" * 16, "here"), Machine("2b" * 16, "there")
    for machine in (there, here):
        store_owner.take(desk, machine, CAUSE)
    refused = admin.post("/risk/resume")
    assert problem_of(refused) == (409, "conflict")
    assert "algosat engine adopt" in refused.json["detail"]
    assert "here (1a1a1a1a)" in admin.get("/risk").text


@pytest.mark.sqlite
def test_halt_and_cancel_are_answered_and_shown_while_the_store_is_locked(
    desk: Desk, trader: Client, viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancel, "EMERGENCY_AFTER", 0.05)
    order = accepted(desk, buy(desk))
    with exclusive(desk.database):
        cancelled = trader.delete(f"/orders/{order.id}", headers={"Prefer": "wait=0"})
        assert (cancelled.status_code, cancelled.json["pending"]) == (200, "pending_cancel")
        halted = trader.post("/risk/halt", json={"reason": "stop"})
        assert (halted.status_code, halted.json["reason"]) == (200, "stop")
        assert [each["reason"] for each in viewer.get("/risk").json["halts"]] == ["stop"]
        assert viewer.get("/risk").json["halted"]
    again = trader.post(
        "/orders",
        json={"symbol": "ALPHA-EQ", "side": "buy", "quantity": "1", "type": "market"},
        headers={"Idempotency-Key": "after-the-lock"},
    )
    assert problem_of(again) == (422, "halted")
    assert [each["reason"] for each in viewer.get("/risk").json["halts"]] == ["stop"]
    assert order_now(desk, order).pending is PendingRequest.PENDING_CANCEL
