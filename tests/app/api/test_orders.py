from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from algosat.domain.risk import DenialCode
from algosat.store import queries
from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.desks import accepted, order_now
from tests.app.events import wait_for

LIMIT: dict[str, Any] = {"type": "limit", "limit_price": "100"}


def count(desk: Desk) -> int:
    with desk.database.read() as connection:
        return len(queries.orders_page(connection, limit=1000).rows)


def test_placed_order_is_stored_and_returned_with_its_location(desk: Desk, trader: Client) -> None:
    answer = trader.place(**LIMIT)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/orders/{answer.json['id']}"
    assert (answer.json["status"], answer.json["quantity"]) == ("created", "10")
    assert trader.get(answer.headers["Location"]).json == answer.json


def test_response_waits_for_the_acknowledgement(
    desk: Desk, trader: Client, broker: Callable[[], None]
) -> None:
    broker()
    started = time.monotonic()
    answer = trader.place(wait=30, **LIMIT)
    assert (answer.json["status"], answer.json["average_price"]) == ("filled", "100")
    assert time.monotonic() - started < 25


def test_response_comes_without_acknowledgement_after_the_timeout(desk: Desk, trader: Client) -> None:
    started = time.monotonic()
    assert trader.place(wait=0.2, **LIMIT).json["status"] == "created"
    assert 0.2 <= time.monotonic() - started < 25


def test_order_carries_the_correlation_id_of_its_request(desk: Desk, trader: Client) -> None:
    body = {"symbol": "ALPHA-EQ", "side": "buy", "quantity": 1, **LIMIT}
    headers = {"Idempotency-Key": "k", "Prefer": "wait=0", "X-Request-ID": "my-request-1"}
    placed = trader.post("/orders", json=body, headers=headers).json
    events = trader.get(f"/orders/{placed['id']}/events").json["items"]
    assert [(e["kind"], e["actor"], e["correlation_id"]) for e in events] == [
        ("order.created", "user:trader", "my-request-1")
    ]


def test_same_key_returns_the_same_order(desk: Desk, trader: Client) -> None:
    first, again = (trader.place("key-1", **LIMIT) for _ in range(2))
    assert (again.status_code, again.json) == (201, first.json)
    assert count(desk) == 1


def test_equivalent_body_is_the_same_request(desk: Desk, trader: Client) -> None:
    first = trader.place("key-1", **LIMIT)
    again = trader.place("key-1", quantity=10.0, type="limit", limit_price=100, reduce_only=False)
    assert again.json["id"] == first.json["id"]


def test_same_key_for_another_request_is_a_conflict(desk: Desk, trader: Client) -> None:
    trader.place("key-1", **LIMIT)
    assert problem_of(trader.place("key-1", quantity="11", **LIMIT)) == (409, "idempotency_key_reused")
    assert count(desk) == 1


def test_same_key_of_another_user_places_another_order(desk: Desk, trader: Client, admin: Client) -> None:
    first, second = (client.place("key-1", **LIMIT).json["id"] for client in (trader, admin))
    assert first != second


def test_twenty_concurrent_equal_requests_place_one_order_with_equal_responses(
    app: Flask, desk: Desk, trader: Client, broker: Callable[[], None]
) -> None:
    def place(_: int) -> Any:
        client = Client(app)
        client.token = trader.token
        return client.place("one-key", wait=30, **LIMIT)

    broker()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(place, range(20)))
    assert {(each.status_code, each.data) for each in answers} == {(201, answers[0].data)}
    assert answers[0].json["status"] == "filled"
    assert [each.headers.get("Idempotency-Replayed") for each in answers].count(None) == 1
    assert count(desk) == 1


def test_repeated_request_gets_the_first_response_byte_for_byte(desk: Desk, trader: Client) -> None:
    first = trader.place("key-1", wait=0.1, **LIMIT)  # without an engine the wait times out
    accepted(desk, order_now(desk, first.json["id"]))
    again = trader.place("key-1", wait=5, **LIMIT)
    assert (again.status_code, again.data) == (first.status_code, first.data)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert trader.get(first.headers["Location"]).json["status"] == "open"


def test_waiting_repeats_get_the_response_of_the_request_that_did_not_wait(
    app: Flask, desk: Desk, trader: Client, broker: Callable[[], None]
) -> None:
    patient = Client(app)
    patient.token = trader.token
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(patient.place, "key-1", wait=30, **LIMIT)
        wait_for(lambda: count(desk) == 1)
        first = trader.place("key-1", **LIMIT)
        broker()
        assert waiting.result().data == first.data
    assert first.json["status"] == "created"


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "ümlaut", None])
def test_order_without_a_usable_key_is_refused_with_the_remedy(
    desk: Desk, trader: Client, key: str | None
) -> None:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"symbol": "ALPHA-EQ", "side": "buy", "quantity": "10", "type": "market"}
    status, code = problem_of(trader.post("/orders", json=body, headers=headers))
    assert (status, code.startswith("idempotency_key_")) == (400, True)
    assert count(desk) == 0


def test_denied_order_is_stored_and_returns_its_code(desk: Desk, trader: Client) -> None:
    answer = trader.place(symbol="NOVA-FUT", quantity="51", product="carry", **LIMIT)
    assert problem_of(answer) == (422, DenialCode.OFF_LOT)
    stored = trader.get(answer.headers["Location"]).json
    assert (stored["status"], stored["code"]) == ("denied", "off_lot")


def test_unknown_symbol_is_denied(desk: Desk, trader: Client) -> None:
    assert problem_of(trader.place(symbol="NOBODY-KNOWS")) == (422, "unknown_symbol")


def test_repeated_key_of_a_denied_order_is_denied_again(desk: Desk, trader: Client) -> None:
    first, again = (trader.place("k", symbol="NOBODY-KNOWS") for _ in range(2))
    assert problem_of(again) == (422, "unknown_symbol")
    assert first.headers["Location"] == again.headers["Location"]
    assert count(desk) == 1


@pytest.mark.parametrize(
    "difference",
    [{"side": "BUY"}, {"quantity": "-1"}, {"quantity": True}, {"quantity": "1e3"}, {"type": "iceberg"},
     {"reduce_only": "yes"}, {"strategy": "a b"}, {"limit_price": "0"}, {"symbol": "x\x00y"},
     {"validity": "gtd"}, {"account": "a b"}, {"symbol": "x" * 65}, {"algo_id": ""}],
)  # fmt: skip
def test_invalid_body_changes_nothing(desk: Desk, trader: Client, difference: dict[str, Any]) -> None:
    assert problem_of(trader.place(**{**LIMIT, **difference})) == (422, "invalid_body")
    assert count(desk) == 0


def test_order_pages_are_newest_first_without_gap_or_repeat(desk: Desk, trader: Client) -> None:
    placed = [trader.place(**LIMIT).json["id"] for _ in range(5)]
    found, cursor = [], ""
    for _ in range(3):
        answer = trader.get(f"/orders?limit=2{cursor}").json
        found += [order["id"] for order in answer["items"]]
        cursor = f"&cursor={answer['next_cursor']}"
    assert found == placed[::-1]
    assert answer["next_cursor"] is None


def test_orders_are_filtered(desk: Desk, trader: Client) -> None:
    trader.place(strategy="one", **LIMIT)
    trader.place(symbol="BRAVO-EQ", strategy="two", **LIMIT)
    trader.place(symbol="NOBODY-KNOWS")

    def symbols(query: str) -> list[str]:
        return [order["symbol"] for order in trader.get(f"/orders?{query}").json["items"]]

    assert symbols("status=denied") == ["NOBODY-KNOWS"]
    assert symbols("symbol=BRAVO-EQ") == ["BRAVO-EQ"]
    assert symbols("strategy=one") == ["ALPHA-EQ"]
    assert symbols("since=2100-01-01T00:00:00Z") == []
    assert symbols("symbol=nothing-like-it") == []


def test_order_not_sent_yet_is_cancelled_at_once(desk: Desk, trader: Client) -> None:
    placed = trader.place(**LIMIT).json
    answer = trader.delete(f"/orders/{placed['id']}")
    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    assert problem_of(trader.delete(f"/orders/{placed['id']}")) == (409, "illegal_transition")


def test_order_at_the_broker_is_pending_until_the_broker_answers(desk: Desk, trader: Client) -> None:
    placed = trader.place(**LIMIT).json
    accepted(desk, order_now(desk, placed["id"]))
    for _ in range(2):
        answer = trader.delete(f"/orders/{placed['id']}", headers={"Prefer": "wait=0"})
        assert (answer.json["status"], answer.json["pending"]) == ("open", "pending_cancel")


def test_changed_order_keeps_omitted_fields(desk: Desk, trader: Client) -> None:
    placed = trader.place(**LIMIT).json
    accepted(desk, order_now(desk, placed["id"]))
    headers = {"Prefer": "wait=0"}
    answer = trader.patch(f"/orders/{placed['id']}", json={"quantity": "20"}, headers=headers)
    assert (answer.status_code, answer.json["pending"]) == (200, "pending_modify")
    change = order_now(desk, placed["id"]).pending_change
    assert change is not None
    assert (str(change.quantity), str(change.limit_price)) == ("20", "100")


def test_empty_change_is_refused(desk: Desk, trader: Client) -> None:
    placed = trader.place(**LIMIT).json
    accepted(desk, order_now(desk, placed["id"]))
    assert problem_of(trader.patch(f"/orders/{placed['id']}", json={})) == (422, "invalid_body")


def test_change_above_a_limit_is_denied_and_the_order_stays(desk: Desk, trader: Client) -> None:
    placed = trader.place(**LIMIT).json
    accepted(desk, order_now(desk, placed["id"]))
    answer = trader.patch(f"/orders/{placed['id']}", json={"limit_price": "150"})
    assert problem_of(answer)[0] == 422
    assert trader.get(f"/orders/{placed['id']}").json["pending"] is None


@pytest.mark.parametrize("path", ["/orders/azzzzzzzzzzzzzzzzz", "/orders/1", "/orders/%00"])
def test_unknown_order_is_not_found(trader: Client, path: str) -> None:
    assert problem_of(trader.get(path)) == (404, "not_found")
    assert problem_of(trader.delete(path)) == (404, "not_found")


def test_all_orders_of_a_symbol_are_cancelled(desk: Desk, trader: Client) -> None:
    trader.place(**LIMIT)
    kept = trader.place(symbol="BRAVO-EQ", **LIMIT).json["id"]
    answer = trader.post("/orders/cancel-all", json={"symbol": "ALPHA-EQ"})
    assert [order["status"] for order in answer.json["items"]] == ["cancelled"]
    assert trader.get(f"/orders/{kept}").json["status"] == "created"
    assert len(trader.post("/orders/cancel-all").json["items"]) == 1


def test_exits_are_not_rate_limited(desk: Desk, trader: Client, admin: Client) -> None:
    placed = trader.place(**LIMIT).json["id"]
    admin.put("/config/update", json={"section": "security", "updates": {"rate_limit_requests": 1}})
    for _ in range(3):
        trader.get("/funds")
    assert trader.get("/funds").status_code == 429
    assert trader.delete(f"/orders/{placed}").status_code == 200
    assert trader.post("/risk/halt", json={"reason": "too many requests"}).status_code == 200
