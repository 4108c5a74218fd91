"""A scripted strategy and a fake context for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, tzinfo
from decimal import Decimal
from typing import Any, ClassVar

from algosat.domain.calendar import EXCHANGE_TIME, moment
from algosat.domain.gtt import GttOrder, GttRequest
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.linked_requests import ExitRequest
from algosat.domain.orders import ModifyRequest, Order, OrderTerms, Status, TradingSession, create
from algosat.domain.pnl_exits import PnlExit
from algosat.strategies.bars import Bar
from algosat.strategies.base import Strategy
from algosat.strategies.parameters import Parameters, Quantity
from tests.app.desks import instruments

MORNING = datetime(2026, 11, 20, 3, 45, tzinfo=UTC)  # 09:15 in exchange time


class ScriptedParameters(Parameters):
    quantity: Quantity = Decimal(10)
    tag: str = ""


class Scripted(Strategy[ScriptedParameters]):
    """Strategy that records each call and runs `script[callback]`, if the test has set one."""

    parameters_model = ScriptedParameters
    script: ClassVar[dict[str, Callable[..., None]]] = {}
    calls: ClassVar[list[tuple[str, Any]]] = []

    def _act(self, name: str, *arguments: Any) -> None:
        self.calls.append((name, *arguments) if arguments else (name, None))
        if name in self.script:
            self.script[name](self, *arguments)

    def on_start(self) -> None:
        self._act("start")

    def on_bar(self, bar: Bar) -> None:
        self._act("bar", bar)

    def on_quote(self, quote: Quote) -> None:
        self._act("quote", quote)

    def on_order(self, order: Order) -> None:
        self._act("order", order)

    def on_stop(self) -> None:
        self._act("stop")


class FakeContext:
    """Strategy context that fills no orders: a test sets positions and statuses."""

    account = "paper"
    strategy = "tried"

    def __init__(self) -> None:
        self.now = MORNING
        self.opening: time | None = time(9, 15)
        self.closing: time | None = time(15, 30)
        self.positions: dict[str, Decimal] = {}
        self.orders: list[Order] = []
        self.closed: list[str] = []
        self.exits: list[ExitRequest | None] = []  # of each order placed

    def instrument(self, symbol: str) -> Instrument:
        return next(each for each in instruments() if each.symbol == symbol)

    def quote(self, symbol: str) -> Quote | None:  # noqa: ARG002
        return None

    @property
    def zone(self) -> tzinfo:
        return EXCHANGE_TIME

    def opens_at(self, symbol: str, at: datetime) -> datetime | None:  # noqa: ARG002
        return moment(at.astimezone(EXCHANGE_TIME).date(), self.opening) if self.opening else None

    def closes_at(self, symbol: str, at: datetime) -> datetime | None:  # noqa: ARG002
        return moment(at.astimezone(EXCHANGE_TIME).date(), self.closing) if self.closing else None

    def session(self, symbol: str) -> TradingSession:  # noqa: ARG002
        return TradingSession.REGULAR

    def position(self, symbol: str) -> Decimal:
        return self.positions.get(symbol, Decimal(0))

    def working(self) -> Sequence[Order]:
        return [order for order in self.orders if order.is_working]

    def place(self, terms: OrderTerms, exits: ExitRequest | None = None) -> Order:
        self.exits.append(exits)
        self.orders.append(create(f"a{len(self.orders):017d}", terms, self.now))
        return self.orders[-1]

    def cancel(self, order_id: str) -> Order:
        return self.set_status(next(order for order in self.orders if order.id == order_id), Status.CANCELLED)

    def modify(self, order_id: str, request: ModifyRequest) -> Order:
        order = next(order for order in self.orders if order.id == order_id)
        change = request.of(order.terms)
        terms = replace(order.terms, quantity=change.quantity, limit_price=change.limit_price)
        changed = replace(order, terms=replace(terms, trigger_price=change.trigger_price))
        self.orders[self.orders.index(order)] = changed
        return changed

    def close(self, symbol: str) -> Sequence[Order]:
        self.closed.append(symbol)
        return ()

    def reach(self, terms: OrderTerms) -> Sequence[Order]:  # noqa: ARG002
        return ()

    def place_gtt(self, request: GttRequest) -> GttOrder | None:  # noqa: ARG002
        return None

    def gtts(self) -> Sequence[GttOrder]:
        return ()

    def cancel_gtt(self, gtt_id: str) -> GttOrder:
        raise NotImplementedError(gtt_id)

    def set_pnl_exit(self, profit_target: Decimal | None, loss_limit: Decimal | None) -> PnlExit | None:
        return PnlExit(self.account, self.strategy, profit_target, loss_limit, self.now, "strategy:tried")

    def set_status(self, order: Order, status: Status, filled: str | None = None) -> Order:
        changed = replace(order, status=status)
        if filled is not None:
            changed = replace(changed, filled_quantity=Decimal(filled))
        self.orders[self.orders.index(order)] = changed
        return changed


def bar_of(close: str, start: datetime = MORNING, *, high: str | None = None, low: str | None = None) -> Bar:
    price = Decimal(close)
    top, bottom = Decimal(high or close), Decimal(low or close)
    return Bar("ALPHA-EQ", start, 60, price, top, bottom, price, Decimal(100))
