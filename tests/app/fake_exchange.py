"""An exchange in memory that accepts every order, duplicates included, and records what it was sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from algosat.brokers.base import BrokerSession, QuoteListener, ReportListener
from algosat.domain.instruments import FinalSettlement, Instrument, Quote
from algosat.domain.orders import TERMINAL, Order, OrderChange, OrderTerms, OrderType, Side, Status, Trade
from algosat.domain.orders.report import OrderReport
from algosat.errors import BrokerOrderGone, BrokerRejected
from tests.app.desks import SHARE
from tests.app.fakes import FakeClock


class FakeExchange:
    """Calls `before` with the name of each request before it takes effect, and `after` before the answer.

    A hook that raises stands for a lost request, or a lost answer.
    """

    name = "fake"
    account = "paper"
    fences = False

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.book: dict[str, OrderReport] = {}
        self.sent: list[str] = []  # the tags of the orders placed, oldest first
        self.active = True
        self.reports_of_today: Callable[[], Sequence[OrderReport]] = lambda: list(self.book.values())
        self.settled: list[FinalSettlement] = []
        self.before: Callable[[str], None] = lambda _request: None
        self.after: Callable[[str], None] = lambda _request: None

    def start(self, on_report: ReportListener, on_quotes: QuoteListener) -> None:
        self.on_report, self.on_quotes = on_report, on_quotes

    def stop(self) -> None:
        return

    def session(self) -> BrokerSession:
        return BrokerSession(self.active, "set by the test")

    def place(self, order: Order) -> OrderReport:
        self.before("place")
        self.sent.append(order.id)
        number = f"B{len(self.sent)}"
        status = Status.TRIGGER_PENDING if order.terms.type.has_trigger else Status.OPEN
        self.book[number] = OrderReport(number, order.id, status, order.terms, Decimal(0), (), self.clock())
        self.after("place")
        return self.book[number]

    def modify(self, order: Order, change: OrderChange) -> OrderReport:
        self.before("modify")
        report = self._alive(order)
        if change.quantity <= report.filled_quantity:
            raise BrokerRejected(f"{report.filled_quantity} are filled already")
        terms = replace(
            report.terms,
            quantity=change.quantity,
            limit_price=change.limit_price,
            trigger_price=change.trigger_price,
        )
        self._put(replace(report, terms=terms))
        self.after("modify")
        return self.book[report.broker_order_id]

    def cancel(self, order: Order) -> OrderReport:
        self.before("cancel")
        report = self._alive(order)
        self._put(replace(report, status=Status.CANCELLED))
        self.after("cancel")
        return self.book[report.broker_order_id]

    def find(self, tag: str) -> OrderReport | None:
        self.before("find")
        return next((report for report in self.book.values() if report.tag == tag), None)

    def reports(self) -> Sequence[OrderReport]:
        self.before("reports")
        return self.reports_of_today()

    def instruments(self) -> Sequence[Instrument]:
        return []

    def settlements(self) -> Sequence[FinalSettlement]:
        self.before("settlements")
        return self.settled

    def quotes(self) -> Sequence[Quote]:
        return []

    # --- for tests ---------------------------------------------------------------------------------

    def fill(self, order: Order, quantity: str, price: str = "100") -> OrderReport:
        """Fill an order without pushing a report."""
        report = self._of(order)
        trade = Trade(
            f"{report.broker_order_id}-{len(report.trades)}", Decimal(quantity), Decimal(price), self.clock()
        )
        filled = report.filled_quantity + trade.quantity
        status = Status.FILLED if filled == report.terms.quantity else Status.PARTIALLY_FILLED
        if report.status in TERMINAL:
            status = report.status
        return self._put(
            replace(report, status=status, filled_quantity=filled, trades=(*report.trades, trade))
        )

    def _of(self, order: Order) -> OrderReport:
        return next(report for report in self.book.values() if report.tag == order.id)

    def _alive(self, order: Order) -> OrderReport:
        report = self._of(order)
        if report.status in TERMINAL:
            raise BrokerOrderGone(f"order {report.broker_order_id} is {report.status}")
        return report

    def _put(self, report: OrderReport) -> OrderReport:
        self.book[report.broker_order_id] = replace(report, at=self.clock())
        return self.book[report.broker_order_id]


def external_report(
    number: str, *trades: Trade, status: Status = Status.OPEN, tag: str | None = None
) -> OrderReport:
    """Return a report of an external order."""
    terms = OrderTerms("paper", SHARE, Side.BUY, Decimal(10), OrderType.LIMIT, limit_price=Decimal(100))
    filled = sum((trade.quantity for trade in trades), Decimal(0))
    at = datetime.fromisoformat("2026-11-20T05:30:00+00:00")
    return OrderReport(number, tag, status, terms, filled, trades, at)
