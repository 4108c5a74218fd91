from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from algosat.domain.book_comparison import BookComparison, Difference, DifferenceKind, item_of
from algosat.domain.orders import Product
from algosat.trading import book_differences
from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.desks import CAUSE, SHARE

pytestmark = pytest.mark.usefixtures("desk")

BONUS = {"symbol": SHARE, "product": "delivery", "quantity": "5", "price": "0", "reason": "bonus 1:2"}


def adjust(client: Client, key: str = "one", **differences: Any) -> Any:
    return client.post("/book/adjust", json={**BONUS, **differences}, headers={"Idempotency-Key": key})


def test_admin_adjusts_a_position_once_and_asks_for_a_comparison(admin: Client, desk: Desk) -> None:
    first, again = adjust(admin), adjust(admin)
    assert first.status_code == 201
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"
    stated = {name: BONUS[name] for name in ("symbol", "product", "quantity", "price")}
    assert {**first.json, **stated, "strategy": None, "cash": "0"} == first.json
    (position,) = admin.get("/positions").json["items"]
    assert (position["quantity"], position["average_price"]) == ("5", "0")
    (order,) = admin.get("/orders").json["items"]
    assert (order["id"], order["code"], order["external"]) == (first.json["order_id"], "book_adjusted", True)
    (event,) = admin.get("/audit?kind=book.adjusted").json["items"]
    assert (event["subject"], event["data"]["reason"]) == (first.json["id"], "bonus 1:2")
    assert admin.get("/book/comparison").json["requested_by"] == first.json["actor"]


def test_only_an_admin_adjusts(trader: Client) -> None:
    assert adjust(trader).status_code == 403
    assert trader.post("/book/comparison").status_code == 403


def test_impossible_adjustments_are_named(admin: Client) -> None:
    assert problem_of(adjust(admin, quantity=None)) == (422, "invalid_body")
    assert problem_of(adjust(admin, reason="")) == (422, "invalid_body")
    assert problem_of(adjust(admin, account="other")) == (404, "not_found")
    assert problem_of(admin.post("/book/adjust", json=BONUS)) == (400, "idempotency_key_missing")
    assert admin.get("/positions").json["items"] == []


def test_comparison_is_requested_and_its_outcome_is_shown(admin: Client, desk: Desk) -> None:
    assert admin.get("/book/comparison").json["outcome"] is None
    asked = admin.post("/book/comparison")
    assert (asked.status_code, asked.json["compared_at"]) == (202, None)
    assert asked.json["compared"] == ["holding", "order", "position"]  # the paper broker states no funds
    assert asked.json["requested_at"] is not None
    at = datetime(2026, 11, 20, 6, tzinfo=UTC)
    desk.writer.run(
        lambda connection: book_differences.put_state(connection, desk, compared_at=at, outcome="agree")
    )
    assert admin.get("/book/comparison").json["outcome"] == "agree"


def test_differences_are_listed_with_both_figures(viewer: Client, desk: Desk) -> None:
    at = datetime(2026, 11, 20, 6, tzinfo=UTC)
    found = Difference(item_of(SHARE, Product.DELIVERY), Decimal(10), Decimal(15), at, Decimal("90.5"))

    def put(*certain: Difference) -> None:
        desk.writer.run(
            lambda connection: book_differences.put(
                connection, desk, certain, BookComparison(), frozenset(DifferenceKind), CAUSE
            )
        )

    put(found)
    (shown,) = viewer.get("/book/differences?open=true").json["items"]
    assert (shown["kind"], shown["symbol"], shown["product"]) == ("holding", SHARE, "delivery")
    assert (shown["ours"], shown["theirs"], shown["average_price"]) == ("10", "15", "90.5")
    assert (shown["settled_at"], shown["order_id"], shown["adjustment"]) == (None, None, None)
    put()
    assert viewer.get("/book/differences?open=true").json["items"] == []
    (settled,) = viewer.get("/book/differences").json["items"]
    assert settled["settled_at"] is not None
