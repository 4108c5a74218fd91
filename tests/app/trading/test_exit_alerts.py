"""Alerts about exits: opened when one is kept back or leaves at an old price, closed when that is over."""

from __future__ import annotations

import pytest

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.orders import ModifyRequest, Status
from algosat.errors import Denied
from algosat.trading import exit_alerts, modify
from algosat.trading.desk import Desk
from tests.app.desks import (
    CAUSE,
    SECOND,
    SHARE,
    accepted,
    advance,
    buy,
    hold,
    open_alerts,
    sell,
    set_prices,
)
from tests.app.fakes import FakeClock

KEPT_BACK = (AlertKind.EXIT_KEPT_BACK.value, f"{SHARE}/delivery")
OLD_PRICE = (AlertKind.EXIT_OLD_PRICE.value, f"{SHARE}/delivery")


def alerts_of_exits(desk: Desk) -> set[tuple[str, str]]:
    return {each for each in open_alerts(desk) if each[0].startswith("exit.")}


def delete_prices(desk: Desk) -> None:
    desk.writer.run(lambda connection: connection.exec_driver_sql("DELETE FROM venue_quotes"))


def settle(desk: Desk) -> set[tuple[str, str]]:
    exit_alerts.close_settled(desk, CAUSE)
    return alerts_of_exits(desk)


def test_market_exit_without_any_price_is_denied_with_an_alert(desk: Desk) -> None:
    hold(desk, "10")
    delete_prices(desk)
    order = sell(desk, "10", limit=None, reduce_only=True)
    assert (order.status, order.code) == (Status.DENIED, "no_quote")
    assert alerts_of_exits(desk) == settle(desk) == {KEPT_BACK}
    sold = sell(desk, "10", limit="97", reduce_only=True)
    assert settle(desk) == {KEPT_BACK}
    accepted(desk, sold)
    assert settle(desk) == set()


def test_market_exit_at_an_old_price_raises_an_alert_until_the_price_is_fresh(
    desk: Desk, clock: FakeClock
) -> None:
    hold(desk, "10")
    clock.forward(minutes=5)
    assert sell(desk, "10", limit=None, reduce_only=True).status is Status.CREATED
    assert settle(desk) == {OLD_PRICE}
    set_prices(desk)
    assert settle(desk) == set()


def test_alert_ends_when_the_position_is_flat(desk: Desk, clock: FakeClock) -> None:
    hold(desk, "10")
    clock.forward(minutes=5)
    order = accepted(desk, sell(desk, "10", limit=None, reduce_only=True))
    assert settle(desk) == {OLD_PRICE}
    advance(desk, order, fill="10", at="99")
    assert settle(desk) == set()


def test_no_alert_for_denials_that_the_client_can_avoid(desk: Desk) -> None:
    hold(desk, "10")
    sell(desk, "11", reduce_only=True)
    sell(desk, "10", limit="100.01", reduce_only=True)
    sell(desk, "5", symbol=SECOND, limit=None, reduce_only=True)
    delete_prices(desk)
    buy(desk)
    assert alerts_of_exits(desk) == set()


def test_exit_that_cannot_be_repriced_without_a_price_raises_an_alert(desk: Desk) -> None:
    hold(desk, "10")
    order = accepted(desk, sell(desk, "10", limit=None, reduce_only=True))
    delete_prices(desk)
    with pytest.raises(Denied):
        modify.modify_order(desk, order.id, ModifyRequest(quantity=order.terms.quantity - 1), CAUSE)
    assert alerts_of_exits(desk) == {KEPT_BACK}
