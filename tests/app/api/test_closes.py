from __future__ import annotations

from typing import Any

import pytest

from algosat.domain.orders import EventKind, PendingRequest
from algosat.trading import close_follow
from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.desks import accepted, advance, hold, order_now, sell

CLOSE = "/positions/ALPHA-EQ/close"


def follow(desk: Desk) -> None:
    desk.writer.run(lambda connection: close_follow.follow(connection, desk))


def test_close_is_answered_with_its_durable_state(desk: Desk, trader: Client) -> None:
    hold(desk, "10")
    answer = trader.post(CLOSE)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/closes/{answer.json['id']}"
    assert "items" not in answer.json  # an older client must not take it for a list without orders
    (line,) = answer.json["lines"]
    assert (answer.json["state"], answer.json["reason"], line["state"]) == ("closing", "request", "sending")
    assert (line["held"], line["quantity"], line["strategy"]) == ("10", "10", None)
    assert trader.get(answer.headers["Location"]).json == answer.json
    order = order_now(desk, line["order_ids"][0])
    assert (order.terms.side, order.terms.reduce_only) == ("sell", True)


def test_close_of_nothing_is_refused(trader: Client) -> None:
    assert problem_of(trader.post(CLOSE)) == (409, "nothing_to_close")


def test_holder_of_the_position_is_named(desk: Desk, trader: Client) -> None:
    hold(desk, "10", strategy="trend")
    assert "held by strategy 'trend'" in trader.post(CLOSE).json["detail"]
    assert trader.post(CLOSE, json={"strategy": "trend"}).status_code == 202


def test_wait_ends_when_the_close_is_finished(desk: Desk, trader: Client) -> None:
    hold(desk, "10")
    stop = accepted(desk, sell(desk, "10", limit="104", reduce_only=True))
    first = trader.post(CLOSE)
    assert first.json["lines"][0]["state"] == "cancelling"
    advance(desk, stop, EventKind.CANCELLED)
    follow(desk)
    (exit_id,) = trader.get(first.headers["Location"]).json["lines"][0]["order_ids"]
    advance(desk, accepted(desk, order_now(desk, exit_id)), fill="10")
    follow(desk)
    finished = trader.get(first.headers["Location"]).json
    assert (finished["state"], finished["lines"][0]["state"]) == ("finished", "flat")
    assert finished["finished_at"] is not None
    assert trader.post("/positions/close-all", headers={"Prefer": "wait=30"}).json["state"] == "finished"


def test_repeated_key_returns_the_same_close(desk: Desk, trader: Client) -> None:
    hold(desk, "10")
    headers = {"Idempotency-Key": "close-1"}
    first, again = (trader.post(CLOSE, headers=headers) for _ in range(2))
    assert first.json == again.json
    assert again.headers["Idempotency-Replayed"] == "true"
    other = trader.post("/positions/BRAVO-EQ/close", headers=headers)
    assert problem_of(other) == (409, "idempotency_key_reused")


def test_close_all_closes_the_positions_of_each_strategy(desk: Desk, trader: Client) -> None:
    hold(desk, "10", strategy="one")
    hold(desk, "20")
    lines = trader.post("/positions/close-all").json["lines"]
    assert {(line["strategy"], line["quantity"]) for line in lines} == {("one", "10"), (None, "20")}


def test_close_all_of_nothing_has_no_lines_and_is_finished(trader: Client) -> None:
    answer = trader.post("/positions/close-all")
    assert (answer.status_code, answer.json["state"], answer.json["lines"]) == (202, "finished", [])


def test_part_is_closed_by_a_limit_order(desk: Desk, trader: Client) -> None:
    hold(desk, "10")
    body = {"share": "50", "type": "limit", "limit_price": "102"}
    (line,) = trader.post(CLOSE, json=body).json["lines"]
    terms = order_now(desk, line["order_ids"][0]).terms
    assert (str(terms.quantity), terms.type.value, str(terms.limit_price)) == ("5", "limit", "102")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"quantity": "5", "share": "50"}, "not both"),
        ({"type": "stop"}, "`type` is"),
        ({"type": "limit"}, "`limit_price` belongs"),
        ({"limit_price": "101"}, "`limit_price` belongs"),
        ({"share": "101"}, "share"),
        ({"quantity": "0"}, "quantity"),
        ({"quantity": "11"}, "more than the 10 held"),
    ],
)
def test_contradicting_terms_are_refused_and_change_nothing(
    desk: Desk, trader: Client, body: dict[str, Any], named: str
) -> None:
    hold(desk, "10")
    answer = trader.post(CLOSE, json=body)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_body")
    assert named in answer.json["detail"]
    assert trader.get("/closes").json["items"] == []


def test_closes_are_listed_newest_first_in_pages(desk: Desk, trader: Client, viewer: Client) -> None:
    hold(desk, "10")
    empty = trader.post("/positions/close-all", json={"strategy": "none"}).json
    working = trader.post(CLOSE).json
    page = viewer.get("/closes?limit=1").json
    assert [each["id"] for each in page["items"]] == [working["id"]]
    page = viewer.get(f"/closes?limit=1&cursor={page['next_cursor']}").json
    assert ([each["id"] for each in page["items"]], page["next_cursor"]) == ([empty["id"]], None)
    assert [each["id"] for each in viewer.get("/closes?finished=false").json["items"]] == [working["id"]]
    assert [each["id"] for each in viewer.get("/closes?finished=true").json["items"]] == [empty["id"]]


def test_withdrawn_close_leaves_its_exits_working(desk: Desk, trader: Client) -> None:
    hold(desk, "10")
    closing = trader.post(CLOSE).json
    withdrawn = trader.delete(f"/closes/{closing['id']}")
    assert (withdrawn.status_code, withdrawn.json["state"]) == (200, "stopped")
    exit_order = order_now(desk, closing["lines"][0]["order_ids"][0])
    assert exit_order.is_working
    assert exit_order.pending is not PendingRequest.PENDING_CANCEL
    assert problem_of(trader.delete(f"/closes/{closing['id']}")) == (409, "conflict")


def test_unknown_close_is_not_found(trader: Client) -> None:
    for request in (trader.get, trader.delete):
        assert problem_of(request("/closes/c00000000000000000")) == (404, "not_found")
