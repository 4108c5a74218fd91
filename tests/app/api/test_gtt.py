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


def test_two_legs_are_shown_changed_and_listed_in_pages(trader: Client) -> None:
    second = {"trigger_price": "105", "limit_price": "104.5"}
    kept = [keep(trader, str(number), second=second).json for number in range(3)]
    assert kept[0]["second"] == {**second, "condition": "at_or_above"}
    changed = trader.patch(f"/orders/gtt/{kept[0]['id']}", json={"second": {"limit_price": "104"}})
    assert changed.json["second"]["limit_price"] == "104"
    seen: list[str] = []
    query = "?limit=1&state=active"
    while True:
        found = trader.get(f"/orders/gtt{query}").json
        seen += [each["id"] for each in found["items"]]
        if found["next_cursor"] is None:
            break
        query = f"?limit=1&cursor={found['next_cursor']}"
    assert sorted(seen) == sorted(each["id"] for each in kept)
    assert trader.get("/orders/gtt?state=cancelled").json["items"] == []


def test_wrong_leg_change_and_cursor_are_named(trader: Client) -> None:
    answer = keep(trader, second={"trigger_price": "94", "limit_price": "94"})
    assert [error["field"] for error in answer.json["errors"]] == ["second.trigger_price"]
    kept = keep(trader, "two").json
    assert problem_of(trader.patch(f"/orders/gtt/{kept['id']}", json={})) == (422, "invalid_body")
    answer = trader.patch(f"/orders/gtt/{kept['id']}", json={"trigger_price": "-1"})
    assert [error["field"] for error in answer.json["errors"]] == ["trigger_price"]
    assert trader.get("/orders/gtt?cursor=7").status_code == 400
    assert trader.get(f"/orders/gtt?cursor=9999999999999999.{kept['id']}").status_code == 200
    assert trader.get(f"/orders/gtt/{kept['id']}").json == kept
