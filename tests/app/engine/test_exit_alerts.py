"""Exits that the engine or the broker rejects raise an alert, which the duties close."""

from __future__ import annotations

import pytest

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.orders import Order, Status
from algosat.errors import BrokerNotReached, BrokerRejected
from algosat.trading.desk import Desk
from tests.app.desks import SHARE, buy, hold, open_alerts, sell
from tests.app.engine.rig import EngineRig, failing, no_fault
from tests.app.fakes import FakeClock

KEPT_BACK = (AlertKind.EXIT_KEPT_BACK.value, f"{SHARE}/delivery")


def alerts_of_exits(desk: Desk) -> set[tuple[str, str]]:
    return {each for each in open_alerts(desk) if each[0].startswith("exit.")}


@pytest.fixture
def exit_order(rig: EngineRig) -> Order:
    hold(rig.desk, "10")
    return sell(rig.desk, "10", reduce_only=True)


def test_exit_past_its_deadline_raises_an_alert(rig: EngineRig, clock: FakeClock, exit_order: Order) -> None:
    clock.forward(seconds=10.1)
    assert rig.send(exit_order).code == "send_deadline"
    assert alerts_of_exits(rig.desk) == {KEPT_BACK}


def test_exit_while_the_broker_is_away_raises_an_alert(
    rig: EngineRig, clock: FakeClock, exit_order: Order
) -> None:
    rig.exchange.active = False
    clock.forward(seconds=10.1)
    assert rig.send(exit_order).code == "broker_unavailable"
    assert alerts_of_exits(rig.desk) == {KEPT_BACK}


def test_exit_that_the_broker_rejects_raises_an_alert(rig: EngineRig, exit_order: Order) -> None:
    rig.exchange.before = failing(BrokerRejected("no"), "place")
    assert rig.send(exit_order).status is Status.REJECTED
    assert alerts_of_exits(rig.desk) == {KEPT_BACK}


def test_exit_that_cannot_be_resent_in_time_raises_an_alert(
    rig: EngineRig, clock: FakeClock, exit_order: Order
) -> None:
    rig.exchange.before = failing(BrokerNotReached("away"), "place")
    rig.send(exit_order)
    assert alerts_of_exits(rig.desk) == set()
    clock.forward(seconds=10.1)
    rig.exchange.before = no_fault
    assert rig.send(exit_order).status is Status.REJECTED
    assert alerts_of_exits(rig.desk) == {KEPT_BACK}


def test_entry_that_is_rejected_raises_no_alert(rig: EngineRig, clock: FakeClock) -> None:
    order = buy(rig.desk)
    clock.forward(seconds=10.1)
    assert rig.send(order).status is Status.REJECTED
    assert alerts_of_exits(rig.desk) == set()


def test_duties_close_the_alert(rig: EngineRig, clock: FakeClock, exit_order: Order) -> None:
    clock.forward(seconds=10.1)
    rig.send(exit_order)
    again = rig.send(sell(rig.desk, "10", reduce_only=True))
    assert again.status is Status.OPEN
    rig.do_duties(clock())
    assert alerts_of_exits(rig.desk) == set()
