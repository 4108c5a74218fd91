from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from algosat.backtest.execution import Execution
from algosat.domain.calendar import AlwaysOpen
from algosat.domain.orders import EventKind, OrderChange, Status
from algosat.exchange.rules import Rules
from tests.app.builders import LIMIT, order_after
from tests.app.desks import quote_of
from tests.app.exchange.manual_exchange import UNIVERSE
from tests.app.strategies.fakes import MORNING


def test_refused_change_is_reported_once_and_leaves_the_order() -> None:
    exchange = Execution(Rules(universe=UNIVERSE, calendar=AlwaysOpen(), seed=7))
    quote = quote_of(LIMIT.symbol, MORNING, "101")
    order = order_after(EventKind.SUBMITTING, EventKind.ACCEPTED)
    exchange.submit(order)
    (report,) = exchange.tick(quote)
    assert report.status is Status.OPEN
    acknowledged = replace(order, broker_order_id=report.broker_order_id)
    exchange.modify(
        acknowledged, OrderChange(Decimal(10), limit_price=Decimal("100.001"), trigger_price=None)
    )
    exchange.tick(quote_of(LIMIT.symbol, MORNING + timedelta(seconds=1), "101"))
    assert exchange.take_refused() == [order.id]
    assert exchange.take_refused() == []
    (cancelled,) = exchange.cancel(acknowledged, MORNING + timedelta(seconds=2))
    assert cancelled.terms.limit_price == LIMIT.limit_price
