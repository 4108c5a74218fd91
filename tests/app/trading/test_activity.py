from __future__ import annotations

from datetime import UTC, datetime

import pytest

from algosat.domain.calendar import AlwaysOpen, ExchangeCalendar
from algosat.domain.market_phases import packaged
from algosat.domain.orders import EventKind
from algosat.store import queries
from algosat.trading import cancel
from algosat.trading.activity import open_markets, requests_under_way
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, accepted, advance, buy, instruments

FRIDAY_NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
SUNDAY_NOON = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
AFTER_THE_CALENDAR = datetime(2090, 1, 2, 6, 30, tzinfo=UTC)


def reasons(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        return list(requests_under_way(queries.working(connection, desk.account), desk.clock()))


def test_trading_market_is_listed_with_the_end_of_its_phase() -> None:
    found = list(open_markets(instruments(), ExchangeCalendar(packaged()), FRIDAY_NOON))
    assert found
    assert all("is in continuous until 15:" in each and each.endswith(" IST") for each in found)


@pytest.mark.parametrize("at", [SUNDAY_NOON, AFTER_THE_CALENDAR])
def test_closed_market_would_not_be_interrupted(at: datetime) -> None:
    assert list(open_markets(instruments(), ExchangeCalendar(packaged()), at)) == []


def test_market_that_never_closes_is_not_counted() -> None:
    assert list(open_markets(instruments(), AlwaysOpen(), FRIDAY_NOON)) == []


def test_acknowledged_order_has_no_request_under_way(desk: Desk) -> None:
    accepted(desk, buy(desk))
    assert reasons(desk) == []


def test_unacknowledged_orders_have_a_request_under_way(desk: Desk) -> None:
    created, lost = buy(desk), advance(desk, buy(desk, "7"), EventKind.SUBMITTING, EventKind.UNCERTAIN)
    assert set(reasons(desk)) == {f"order {created.id} is created", f"order {lost.id} is unknown"}


def test_requested_cancel_is_under_way(desk: Desk) -> None:
    order = accepted(desk, buy(desk))
    cancel.cancel_order(desk, order.id, CAUSE)
    assert reasons(desk) == [f"order {order.id} is pending_cancel"]
