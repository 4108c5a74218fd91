from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from algosat.domain.orders import Status
from algosat.domain.orders.terms import TradingSession
from algosat.domain.risk import DenialCode
from algosat.errors import AlgosatError, BrokerNotReached, EngineAway
from algosat.store import heartbeats
from algosat.trading import cancel, close, engine_presence, halts, place
from algosat.trading.desk import Desk
from algosat.trading.engine_presence import EnginePresence
from algosat.trading.idempotency import IdempotencyKey
from tests.app.desks import CAUSE, SHARE, accepted, buy, hold, sell, terms_of
from tests.app.fakes import FakeClock


@pytest.fixture
def guarded(desk: Desk, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The desk of the API, which looks at the heartbeat for every order."""
    monkeypatch.setattr(engine_presence, "_LOOK_EVERY", 0)
    return replace(desk, require_engine=EnginePresence(clock).require)


def beat(desk: Desk, **state: Any) -> None:
    data = {"leading": True, "accounts": {desk.account: state}}
    desk.writer.run(lambda connection: heartbeats.write(connection, heartbeats.ENGINE, desk.clock(), data))


def test_orders_pass_while_the_engine_works_and_before_its_first_start(guarded: Desk) -> None:
    buy(guarded)
    beat(guarded)
    buy(guarded, "20")


def test_order_that_nobody_could_send_is_refused_and_not_stored(guarded: Desk, clock: FakeClock) -> None:
    beat(guarded)
    clock.forward(seconds=5)
    order = buy(guarded)
    clock.forward(seconds=1)
    key = IdempotencyKey("tester", "key-1", "hash")
    with pytest.raises(EngineAway) as refused:
        place.place_order(guarded, terms_of("20"), CAUSE, key=key)
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "5"})
    beat(guarded)
    placed = place.place_order(guarded, terms_of("20"), CAUSE, key=key)  # the key was not used up
    assert not placed.replayed
    assert placed.order.id != order.id


def test_repeated_key_gets_its_answer_while_the_engine_is_away(guarded: Desk, clock: FakeClock) -> None:
    beat(guarded)
    key = IdempotencyKey("tester", "key-1", "hash")
    order = place.place_order(guarded, terms_of(), CAUSE, key=key).order
    clock.forward(minutes=1)
    again = place.place_order(guarded, terms_of(), CAUSE, key=key)
    assert again.replayed
    assert again.order.id == order.id


def test_ways_out_are_stored_while_the_engine_is_away(guarded: Desk, clock: FakeClock) -> None:
    hold(guarded)
    order = accepted(guarded, buy(guarded, "20"))
    beat(guarded)
    clock.forward(seconds=20)
    cancel.cancel_order(guarded, order.id, CAUSE)
    close.close_position(guarded, SHARE, CAUSE)
    halts.halt_trading(guarded, CAUSE, "stop")


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ({"broker": {"active": True}}, None),
        ({"unavailable_since": 2.0, "broker": {"detail": "session expired"}}, None),  # may be over in time
        ({"unavailable_since": 9.0, "broker": {"detail": "session expired"}}, BrokerNotReached),
    ],
)
def test_orders_of_an_account_whose_broker_is_away_are_refused(
    guarded: Desk, clock: FakeClock, state: dict[str, Any], error: type[AlgosatError] | None
) -> None:
    since = state.pop("unavailable_since", None)
    at = clock()
    if since is not None:
        clock.forward(seconds=since)
        state["unavailable_since"] = at.isoformat()
    beat(guarded, **state)
    if error is None:
        buy(guarded)
        return
    hold(replace(guarded, require_engine=engine_presence.accept_without_engine))
    with pytest.raises(error, match="session expired"):
        buy(guarded)
    assert sell(guarded, reduce_only=True).status is Status.CREATED  # an exit is tried


def test_after_market_order_reaches_the_gate_without_an_engine(guarded: Desk, clock: FakeClock) -> None:
    beat(guarded)
    clock.forward(minutes=1)
    assert buy(guarded, session=TradingSession.AFTER_MARKET).code == DenialCode.MARKET_OPEN


def test_heartbeat_is_read_at_most_twice_a_second(
    desk: Desk, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    read: Callable[..., Any] = heartbeats.read

    def counting(*arguments: Any) -> Any:
        nonlocal reads
        reads += 1
        return read(*arguments)

    monkeypatch.setattr(heartbeats, "read", counting)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    presence = EnginePresence(clock)
    beat(desk)
    with desk.database.read() as connection:
        for _ in range(50):
            presence.require(connection, [terms_of()])
    assert reads == 1
