from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from algosat.domain.conversion import Excess
from algosat.domain.orders import Product
from algosat.trading import conversion_records, conversions
from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.desks import CAUSE, hold, sell

CONVERT = "/positions/ALPHA-EQ/convert"
TO_DELIVERY = {"to_product": "delivery", "quantity": "4"}


@pytest.fixture
def holder(desk: Desk) -> Desk:
    hold(desk, "10", product=Product.INTRADAY)
    return desk


def send(desk: Desk, conversion_id: str, outcome: str) -> None:
    """Record that a conversion was sent, and its outcome."""

    def unit(connection: Any) -> None:
        record = conversion_records.get(connection, conversion_id)
        conversions.record_sending(connection, desk, record, Excess(Decimal(0), Decimal(0)))
        if outcome == "converted":
            conversions.record_converted(connection, desk, record.id, CAUSE)
        if outcome == "unknown":
            conversions.record_unknown(connection, desk, record.id, "broker_uncertain", "timed out", CAUSE)

    desk.writer.run(unit)


def test_conversion_is_answered_with_its_durable_state(holder: Desk, trader: Client, viewer: Client) -> None:
    answer = trader.post(CONVERT, json=TO_DELIVERY)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/conversions/{answer.json['id']}"
    shown = {name: answer.json[name] for name in ("state", "product", "to_product", "quantity", "strategy")}
    assert shown == {
        "state": "created",
        "product": "intraday",
        "to_product": "delivery",
        "quantity": "4",
        "strategy": None,
    }
    assert viewer.get(answer.headers["Location"]).json == answer.json
    send(holder, answer.json["id"], "converted")
    found = viewer.get("/conversions").json["items"]
    assert [(each["state"], len(each["order_ids"])) for each in found] == [("converted", 2)]
    assert viewer.get("/conversions?finished=false").json["items"] == []
    held = {each["product"]: each["quantity"] for each in viewer.get("/positions").json["items"]}
    assert held == {"intraday": "6", "delivery": "4"}


def test_wait_ends_when_the_outcome_is_known(holder: Desk, trader: Client) -> None:
    headers = {"Idempotency-Key": "convert-1"}
    first = trader.post(CONVERT, json=TO_DELIVERY, headers=headers)
    send(holder, first.json["id"], "converted")
    again = trader.post(CONVERT, json=TO_DELIVERY, headers={**headers, "Prefer": "wait=30"})
    assert (again.json["id"], again.json["state"]) == (first.json["id"], "converted")
    assert again.headers["Idempotency-Replayed"] == "true"
    other = trader.post(CONVERT, json={**TO_DELIVERY, "quantity": "5"}, headers=headers)
    assert problem_of(other) == (409, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"to_product": "delivery", "quantity": "11"}, "more_than_held"),
        ({"to_product": "carry"}, "product_not_allowed"),
        ({"to_product": "delivery", "product": "delivery"}, "product_not_allowed"),
        ({"to_product": "intraday"}, "invalid_body"),
        ({"to_product": "delivery", "strategy": "trend"}, "invalid_body"),
        ({"to_product": "delivery", "quantity": "0"}, "invalid_body"),
        ({"quantity": "4"}, "invalid_body"),
    ],
)
@pytest.mark.usefixtures("holder")
def test_what_cannot_be_converted_is_refused_with_its_code(
    trader: Client, body: dict[str, Any], code: str
) -> None:
    assert problem_of(trader.post(CONVERT, json=body)) == (422, code)
    assert trader.get("/conversions").json["items"] == []


def test_exit_of_what_is_being_converted_is_denied(holder: Desk, trader: Client) -> None:
    trader.post(CONVERT, json={"to_product": "delivery"})
    denied = sell(holder, "1", product=Product.INTRADAY, reduce_only=True)
    assert denied.code == "more_than_held"
    again = trader.post(CONVERT, json=TO_DELIVERY)
    assert problem_of(again) == (422, "conversion_under_way")


@pytest.mark.usefixtures("holder")
def test_conversion_is_cancelled_before_it_is_sent(trader: Client) -> None:
    path = trader.post(CONVERT, json=TO_DELIVERY).headers["Location"]
    assert trader.delete(path).json["state"] == "cancelled"
    assert problem_of(trader.delete(path)) == (409, "conflict")


def test_admin_settles_an_unknown_outcome(holder: Desk, trader: Client, admin: Client) -> None:
    path = trader.post(CONVERT, json=TO_DELIVERY).headers["Location"]
    settle = f"{path}/settle"
    assert problem_of(admin.post(settle, json={"converted": True})) == (409, "conflict")
    send(holder, path.removeprefix("/conversions/"), "unknown")
    assert problem_of(trader.post(settle, json={"converted": True})) == (403, "forbidden")
    settled = admin.post(settle, json={"converted": True}).json
    assert (settled["state"], settled["code"]) == ("converted", "settled_by_person")


def test_conversion_that_does_not_exist_is_not_found(viewer: Client) -> None:
    assert problem_of(viewer.get("/conversions/v" + "0" * 17)) == (404, "not_found")
