"""After-market orders over HTTP, and with linked exits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from algosat.api.baskets import Basket
from algosat.api.orders import NewOrder
from algosat.api.waiting import Waiting
from algosat.brokers.paper.persistence import paper_orders
from algosat.domain.orders import OrderType, Status
from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import World, ist
from tests.app.client import Client
from tests.app.desks import order_now


def near(world: World, share: str, symbol: str = "ALPHA-EQ") -> str:
    return str((world.quote(symbol).last * Decimal(share)).quantize(Decimal("0.1")))


def test_answer_does_not_wait_for_the_market_and_is_repeated_as_it_was(
    served_at: WorldAt, trader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Waiting, "_wait")
    world = served_at(ist(2026, 11, 23, 8, 30))
    body: dict[str, Any] = {"type": "limit", "limit_price": near(world, "0.98"), "session": "after_market"}
    first = trader.place("one-key", wait=30, **body)
    assert first.status_code == 201, first.json
    assert (first.json["status"], first.json["session"]) == ("created", "after_market")
    assert first.json["send_at"] == "2026-11-23T03:30:00Z"
    path = f"/orders/{first.json['id']}"
    changed = trader.patch(path, json={"quantity": "12"}, headers={"Prefer": "wait=0"})
    assert (changed.json["quantity"], changed.json["pending"]) == ("12", None)
    world.jump(ist(2026, 11, 23, 9, 0))
    assert trader.get(path).json["status"] == "open"
    repeated = trader.place("one-key", wait=0, **body)
    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert repeated.json == first.json
    assert trader.delete(path, headers={"Prefer": "wait=0"}).json["pending"] == "pending_cancel"


def test_slices_of_an_after_market_order_are_all_kept(served_at: WorldAt, trader: Client) -> None:
    world = served_at(ist(2026, 11, 23, 8, 30))
    body = {
        "symbol": "NOVA-FUT",
        "side": "buy",
        "type": "market",
        "product": "carry",
        "session": "after_market",
    }
    headers = {"Idempotency-Key": "slices"}
    answer = trader.post("/orders/sliced", json={**body, "quantity": "45000"}, headers=headers)
    kept = [(order["quantity"], order["status"], order["send_at"]) for order in answer.json["items"]]
    opening = "2026-11-23T03:45:00Z"
    assert kept == [(quantity, "created", opening) for quantity in ("20000", "20000", "5000")]
    world.jump(ist(2026, 11, 23, 9, 14, 59)).run(5)
    assert len(world.broker.reports()) == 3


def test_unknown_session_is_refused(served_at: WorldAt, trader: Client) -> None:
    served_at(ist(2026, 11, 23, 8, 30))
    answer = trader.place(session="tomorrow")
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_body")
    assert [error["field"] for error in answer.json["errors"]] == ["session"]


@pytest.mark.parametrize("session", ["after_market", "regular"])
def test_bracket_entered_at_the_opening_match_gets_its_stop_in_continuous_trading(
    served_at: WorldAt, trader: Client, session: str
) -> None:
    minute = 2 if session == "regular" else 30
    hour = 9 if session == "regular" else 8
    world = served_at(ist(2026, 11, 23, hour, minute))
    answer = trader.place(
        quantity="5",
        session=session,
        stop_loss={"trigger_price": near(world, "0.9")},
        target_price=near(world, "1.1"),
    )
    assert answer.status_code == 201, answer.json
    world.send()
    world.run_until(ist(2026, 11, 23, 9, 0), step=600)
    world.run_until(ist(2026, 11, 23, 9, 14), step=60)
    assert order_now(world.desk, answer.json["id"]).status is Status.FILLED
    world.run_until(ist(2026, 11, 23, 9, 15, 10), step=1)
    (stop,) = world.working()
    assert (stop.terms.type, stop.status, stop.terms.reduce_only) == (
        OrderType.STOP,
        Status.TRIGGER_PENDING,
        True,
    )


def test_pair_placed_after_the_close_protects_the_position_from_the_next_opening_on(
    served_at: WorldAt, trader: Client
) -> None:
    world = served_at(ist(2026, 11, 23, 15, 5))
    world.hold("ALPHA-EQ", 10)
    world.jump(ist(2026, 11, 23, 15, 29, 58)).jump(ist(2026, 11, 23, 16, 5))
    answer = trader.place(
        side="sell",
        type="stop",
        trigger_price=near(world, "0.9"),
        target_price=near(world, "1.1"),
        reduce_only=True,
        session="after_market",
    )
    assert answer.status_code == 201, answer.json
    world.run(3)
    assert [order.status for order in world.working()] == [Status.CREATED]
    world.jump(ist(2026, 11, 25, 9, 14, 50)).run_until(ist(2026, 11, 25, 9, 15, 10), step=1)
    (stop,) = world.working()
    assert (stop.status, stop.remaining_quantity) == (Status.TRIGGER_PENDING, Decimal(10))
    linked = trader.get(f"/orders/{answer.json['id']}/linked").json
    assert linked["state"] == "protected", linked


def test_key_of_a_request_to_a_release_without_sessions_stays_valid() -> None:
    """The key is compared with a hash of the body, to which the new field would add its default."""
    order: dict[str, Any] = {"symbol": "ALPHA-EQ", "side": "buy", "quantity": "10", "type": "market"}
    assert "session" not in NewOrder(**order).model_dump()
    assert "session" not in Basket.model_validate({"orders": [order]}).model_dump()["orders"][0]
    assert NewOrder(**order, session="after_market").model_dump()["session"] == "after_market"


def test_paper_orders_are_stored_as_releases_without_sessions_read_them(
    served_at: WorldAt, trader: Client
) -> None:
    world = served_at(ist(2026, 11, 23, 8, 30))
    trader.place(session="after_market")
    world.jump(ist(2026, 11, 23, 9, 0))
    with world.desk.database.read() as connection:
        (stored,) = connection.execute(select(paper_orders.c.data)).scalars()
    assert {"session", "send_at"} & stored["terms"].keys() == set()
