"""Cases 01 and 08: positions with working exits."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest

from algosat.domain.orders import Status
from tests.app.cases.world import SetupFailed, World
from tests.app.client import Client
from tests.app.desks import order_now

SYMBOL = "ALPHA-EQ"
TICK = Decimal("0.05")


def near(world: World, factor: str) -> str:
    """Return the last price times a factor, rounded to the tick."""
    price = world.quote(SYMBOL).last * Decimal(factor)
    return str((price / TICK).to_integral_value(ROUND_DOWN) * TICK)


def sent(world: World, answer: Any) -> dict[str, Any]:
    """Let the engine send the order that the API accepted. Raises SetupFailed if it was refused."""
    if answer.status_code not in (201, 202):
        raise SetupFailed(answer.text)
    world.run(2)
    order: dict[str, Any] = answer.json
    return order


@pytest.fixture
def protected(served: World, trader: Client) -> World:
    """Hold ten, with a stop 3 % below the last price."""
    sent(served, trader.place())
    stop = sent(
        served, trader.place(side="sell", type="stop", trigger_price=near(served, "0.97"), reduce_only=True)
    )
    status = order_now(served.desk, stop["id"]).status
    if served.held() != {SYMBOL: 10} or status is not Status.TRIGGER_PENDING:
        raise SetupFailed(f"held {served.held()}, stop {status}")
    return served


def test_close_cancels_the_stop_and_sells(protected: World, trader: Client) -> None:
    answer = trader.post(f"/positions/{SYMBOL}/close")
    assert answer.status_code == 202
    protected.run(10)
    assert trader.get("/positions").json["items"] == []
    assert protected.working() == []


def test_close_all_closes_positions_with_a_stop(protected: World, trader: Client) -> None:
    assert trader.post("/positions/close-all").status_code == 202
    protected.run(10)
    assert trader.get("/positions").json["items"] == []
    assert protected.working() == []


def test_close_of_a_short_position_buys_back_and_ends_its_stop(served: World, trader: Client) -> None:
    sent(served, trader.place(side="sell", product="intraday"))
    sent(
        served,
        trader.place(
            side="buy", type="stop", trigger_price=near(served, "1.03"), product="intraday", reduce_only=True
        ),
    )
    assert served.held() == {SYMBOL: -10}
    closing = trader.post(f"/positions/{SYMBOL}/close", json={"product": "intraday"})
    served.run(10)
    assert (served.held(), served.working()) == ({}, [])
    (line,) = trader.get(closing.headers["Location"]).json["lines"]
    assert (line["held"], line["state"], len(line["order_ids"])) == ("-10", "flat", 1)


def test_close_ends_an_entry_that_would_open_the_position_anew(protected: World, trader: Client) -> None:
    sent(protected, trader.place(type="limit", limit_price=near(protected, "0.97")))
    assert len(protected.working()) == 2
    trader.post(f"/positions/{SYMBOL}/close")
    protected.run(10)
    assert (protected.held(), protected.working()) == ({}, [])


def test_close_of_a_part_leaves_the_rest_with_its_stop(protected: World, trader: Client) -> None:
    sent(protected, trader.place())
    closing = trader.post(f"/positions/{SYMBOL}/close", json={"share": "50"})
    protected.run(10)
    assert protected.held() == {SYMBOL: 10}
    assert [order.terms.quantity for order in protected.working()] == [10]
    assert trader.get(closing.headers["Location"]).json["lines"][0]["state"] == "reduced"


def test_halt_with_flatten_closes_a_position_with_a_stop(protected: World, trader: Client) -> None:
    protected.halt_and_flatten()
    protected.run(10)
    assert (protected.held(), protected.working()) == ({}, [])
    (close,) = trader.get("/closes").json["items"]
    assert (close["reason"], close["state"]) == ("halt", "finished")


def test_target_may_work_beside_the_stop(protected: World, trader: Client) -> None:
    (stop,) = protected.working()
    target = near(protected, "1.03")
    answer = trader.patch(f"/orders/{stop.id}", json={"target_price": target})
    assert answer.status_code == 200, answer.json
    protected.run(2)
    assert [order.id for order in protected.working()] == [stop.id]
    linked = trader.get(f"/orders/{stop.id}/linked").json
    assert (linked["state"], Decimal(linked["target_price"])) == ("protected", Decimal(target))


def test_stop_is_cancelled_when_the_target_is_reached(served: World, trader: Client) -> None:
    sent(served, trader.place())
    pair = trader.place(
        side="sell",
        type="stop",
        trigger_price=near(served, "0.97"),
        target_price=near(served, "1.003"),
        reduce_only=True,
    )
    stop = sent(served, pair)
    served.move_to(SYMBOL, Decimal(near(served, "1.005")))
    assert order_now(served.desk, stop["id"]).status is Status.CANCELLED
    assert served.held() == {}
    assert served.working() == []
    assert trader.get(f"/orders/{stop['id']}/linked").json["outcome"] == "target_filled"


def test_short_position_is_bought_back_once(served: World, trader: Client) -> None:
    """Sibling of case 08: a pair that buys."""
    sent(served, trader.place(side="sell", product="intraday"))
    pair = trader.place(
        side="buy",
        type="stop",
        product="intraday",
        trigger_price=near(served, "1.03"),
        target_price=near(served, "0.997"),
        reduce_only=True,
    )
    stop = sent(served, pair)
    served.move_to(SYMBOL, Decimal(near(served, "0.995")))
    assert served.held() == {}
    assert served.working() == []
    assert trader.get(f"/orders/{stop['id']}/linked").json["outcome"] == "target_filled"


def test_bracket_protects_what_its_entry_buys_until_the_target(served: World, trader: Client) -> None:
    """Sibling of case 08: entry, stop and target in one request."""
    stop_loss = {"trigger_price": near(served, "0.97")}
    entry = sent(served, trader.place(stop_loss=stop_loss, target_price=near(served, "1.003")))
    served.run(2)
    (stop,) = served.working()
    assert (stop.status, stop.terms.quantity) == (Status.TRIGGER_PENDING, Decimal(10))
    served.move_to(SYMBOL, Decimal(near(served, "1.005")))
    assert served.held() == {}
    assert served.working() == []
    orders = trader.get(f"/orders/{entry['id']}/linked").json["orders"]
    assert [each["role"] for each in orders] == ["entry", "stop", "target"]


def test_engine_that_was_away_costs_the_target_and_not_the_stop(served: World, trader: Client) -> None:
    """Sibling of case 08: the stop rests at the exchange while nobody watches the target."""
    sent(served, trader.place())
    pair = trader.place(
        side="sell",
        type="stop",
        trigger_price=near(served, "0.97"),
        target_price=near(served, "1.003"),
        reduce_only=True,
    )
    sent(served, pair)
    up, down = Decimal(near(served, "1.01")), Decimal(near(served, "0.966"))
    for price in (up, down):
        served.broker.move_to(SYMBOL, price)
        served.clock.forward(seconds=30)
        served.broker.step()
    served.run(4)
    assert served.held() == {}
    assert served.working() == []
