from __future__ import annotations

from typing import Any

import pytest

from tests.app.client import Client, problem_of

pytestmark = pytest.mark.usefixtures("desk")

ORDER = {"symbol": "ALPHA-EQ", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "95"}


def keep(client: Client, key: str = "one", **differences: Any) -> Any:
    body = {"order": ORDER, "trigger_price": "95", **differences}
    return client.post("/orders/gtt", json=body, headers={"Idempotency-Key": key})


def test_order_is_kept_listed_and_cancelled(trader: Client) -> None:
    answer = keep(trader, expires_on="2026-12-18")
    assert answer.status_code == 201
    kept = answer.json
    assert (kept["state"], kept["condition"], kept["expires_on"]) == ("active", "at_or_below", "2026-12-18")
    assert trader.get(f"/orders/gtt/{kept['id']}").json == kept
    assert trader.get("/orders/gtt").json["items"] == [kept]
    assert trader.get("/orders").json["items"] == []
    assert trader.delete(f"/orders/gtt/{kept['id']}").json["state"] == "cancelled"


def test_repeated_key_gets_the_same_order(trader: Client) -> None:
    first, again = keep(trader), keep(trader)
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"


def test_past_date_is_named(trader: Client) -> None:
    answer = keep(trader, expires_on="2026-11-19")
    assert problem_of(answer) == (422, "invalid_body")
    assert [error["field"] for error in answer.json["errors"]] == ["expires_on"]


def test_negative_trigger_price_is_named(trader: Client) -> None:
    answer = keep(trader, trigger_price="-1")
    assert [error["field"] for error in answer.json["errors"]] == ["trigger_price"]


def test_unknown_gtt_order_is_not_found(trader: Client) -> None:
    assert problem_of(trader.get("/orders/gtt/ag6t2t4o6r3d5e7r2a")) == (404, "not_found")
