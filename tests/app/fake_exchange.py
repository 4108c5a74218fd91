"""An exchange in memory that accepts every order, duplicates included, and records what it was sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from algosat.brokers.base import (
    Ack,
    BookHint,
    BookReading,
    BrokerFunds,
    BrokerHolding,
    BrokerPosition,
    BrokerSession,
    FeedListener,
    Quota,
    QuoteListener,
    ReportListener,
    SessionState,
)
from algosat.brokers.paper.capabilities import CAPABILITIES
from algosat.domain.bars import Bar
from algosat.domain.instruments import FinalSettlement, Instrument, Quote
from algosat.domain.orders import (
    TERMINAL,
    Order,
    OrderChange,
    OrderTerms,
    OrderType,
    Product,
    Side,
    Status,
    Trade,
)
from algosat.domain.orders.report import OrderReport
from algosat.errors import BrokerBookTooShort, BrokerOrderGone, BrokerRejected, BrokerUnsupported
from tests.app.desks import SHARE
from tests.app.fakes import FakeClock


class FakeExchange:
    """Calls `before` with the name of each request before it takes effect, and `after` before the answer.

    A hook that raises stands for a lost request, or a lost answer.
    """

    name = "fake"
    account = "paper"
    quotas: Sequence[Quota] = ()

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.book: dict[str, OrderReport] = {}
        self.sent: list[str] = []  # the tags of the orders placed, oldest first
        self.converted: list[tuple[str, Decimal, Product, Product]] = []
        self.active = True
        self.capabilities = replace(CAPABILITIES, fences=False, has_positions=False, has_holdings=False)
        # Since when `read_book` and `find` show every order.
        self.covers_from: datetime | None = datetime.min.replace(tzinfo=UTC)
        self.subscribed: AbstractSet[str] = frozenset()
        self.stated_positions: list[BrokerPosition] = []
        self.stated_holdings: list[BrokerHolding] = []
        self.stated_funds: list[BrokerFunds] = []
        self.reports_of_today: Callable[[], Sequence[OrderReport]] = lambda: list(self._shown().values())
        self.lags = False  # whether `find` and `read_book` show nothing new
        self._seen: dict[str, OrderReport] = {}
        self.priced: list[Quote] = []
        self.hidden: set[str] = set()  # numbers of orders that neither of them shows
        self.earlier: dict[date, BookReading] = {}  # the order books of earlier days
        # How `find` and `read_book` show an order, as without its trades while the trade book lags.
        self.shows: Callable[[OrderReport], OrderReport] = lambda report: report
        self.settled: list[FinalSettlement] = []
        self.before: Callable[[str], None] = lambda _request: None
        self.after: Callable[[str], None] = lambda _request: None

    def start(self, on_report: ReportListener, on_quotes: QuoteListener, on_feed: FeedListener) -> None:
        self.on_report, self.on_quotes, self.on_feed = on_report, on_quotes, on_feed

    def stop(self) -> None:
        return

    def session(self) -> BrokerSession:
        return BrokerSession(
            SessionState.ACTIVE if self.active else SessionState.LOGIN_REQUIRED, "set by the test"
        )

    def login_url(self, state: str) -> str | None:
        return f"https://broker.example/login?state={state}"

    def login(self, answer: Mapping[str, str]) -> BrokerSession:  # noqa: ARG002
        self.active = True
        return self.session()

    def logout(self) -> None:
        self.active = False

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
        changed = replace(report, terms=terms)
        if not self.capabilities.replace_keeps_number:
            changed = self._replacement(changed)
        self._put(changed)
        self.after("modify")
        return self.book[changed.broker_order_id]

    def cancel(self, order: Order) -> OrderReport:
        self.before("cancel")
        report = self._alive(order)
        self._put(replace(report, status=Status.CANCELLED))
        self.after("cancel")
        return self.book[report.broker_order_id]

    def convert(self, symbol: str, quantity: Decimal, source: Product, target: Product) -> None:
        self.before("convert")
        for product, change in ((source, -quantity), (target, quantity)):
            self.change_stated(symbol, product, change)
        self.converted.append((symbol, quantity, source, target))
        self.after("convert")

    def find(self, order: Order) -> OrderReport | None:
        self.before("find")
        shown = _latest_first(self._shown().values())
        found = next((report for report in shown if report.tag == order.id), None)
        if found is None and not BookReading([], self.covers_from).proves_absence(order.created_at):
            raise BrokerBookTooShort(f"no order {order.id} since {self.covers_from}")
        return None if found is None else self.shows(found)

    def read_book(self, hint: BookHint) -> BookReading:  # noqa: ARG002
        self.before("reports")
        return BookReading([self.shows(each) for each in self.reports_of_today()], self.covers_from)

    def history(self, day: date) -> BookReading:
        self.before("history")
        if day not in self.earlier:
            raise BrokerUnsupported(f"no order book of {day}")
        return self.earlier[day]

    def positions(self) -> Sequence[BrokerPosition]:
        self.before("positions")
        return self.stated_positions

    def holdings(self) -> Sequence[BrokerHolding]:
        self.before("holdings")
        return self.stated_holdings

    def funds(self) -> Sequence[BrokerFunds]:
        self.before("funds")
        return self.stated_funds

    def instruments(self) -> Sequence[Instrument]:
        return []

    def subscribe(self, symbols: AbstractSet[str]) -> None:
        self.subscribed = symbols

    def candles(self, symbol: str, interval: timedelta, since: datetime, until: datetime) -> Sequence[Bar]:  # noqa: ARG002
        raise BrokerUnsupported(f"no bars of {symbol}")

    def settlements(self) -> Sequence[FinalSettlement]:
        self.before("settlements")
        return self.settled

    def quotes(self) -> Sequence[Quote]:
        self.before("quotes")
        return self.priced

    # --- for tests ---------------------------------------------------------------------------------

    def fill(
        self, order: Order, quantity: str, price: str = "100", *, number: str | None = None
    ) -> OrderReport:
        """Fill an order without pushing a report; `number` is that of the trade."""
        report = self._of(order)
        number = number or f"{report.broker_order_id}-{len(report.trades)}"
        trade = Trade(number, Decimal(quantity), Decimal(price), self.clock())
        filled = report.filled_quantity + trade.quantity
        status = Status.FILLED if filled == report.terms.quantity else Status.PARTIALLY_FILLED
        if report.status in TERMINAL:
            status = report.status
        return self._put(
            replace(report, status=status, filled_quantity=filled, trades=(*report.trades, trade))
        )

    def end(self, order: Order, status: Status, reason: str | None = None) -> OrderReport:
        """End an order without pushing a report."""
        return self._put(replace(self._of(order), status=status, reason=reason))

    def change_stated(self, symbol: str, product: Product, change: Decimal) -> None:
        """Change the position that the broker states."""
        stated = {(each.symbol, each.product): each.quantity for each in self.stated_positions}
        key = (symbol, product)
        stated[key] = stated.get(key, Decimal(0)) + change
        self.stated_positions = [BrokerPosition(*key, quantity) for key, quantity in stated.items()]

    def _shown(self) -> dict[str, OrderReport]:
        if not self.lags:
            self._seen = dict(self.book)
        return {number: each for number, each in self._seen.items() if number not in self.hidden}

    def _replacement(self, changed: OrderReport) -> OrderReport:
        """Cancel an order, and return the one under another number that takes its place."""
        replaced = self.book[changed.broker_order_id]
        self._put(replace(replaced, status=Status.CANCELLED))
        number = f"{changed.broker_order_id}R"
        return replace(changed, broker_order_id=number, replaces=replaced.broker_order_id, trades=())

    def _of(self, order: Order) -> OrderReport:
        return next(report for report in _latest_first(self.book.values()) if report.tag == order.id)

    def _alive(self, order: Order) -> OrderReport:
        report = self._of(order)
        if report.status in TERMINAL:
            raise BrokerOrderGone(f"order {report.broker_order_id} is {report.status}")
        return report

    def _put(self, report: OrderReport) -> OrderReport:
        self.book[report.broker_order_id] = replace(report, at=self.clock())
        return self.book[report.broker_order_id]


def _latest_first(reports: Collection[OrderReport]) -> list[OrderReport]:
    """Return the reports; those of replaced orders come last."""
    replaced = {report.replaces for report in reports}
    return sorted(reports, key=lambda report: report.broker_order_id in replaced)


def reported(answer: Ack | OrderReport) -> OrderReport:
    """Return an answer that has the order's state."""
    assert isinstance(answer, OrderReport)
    return answer


def external_report(
    number: str, *trades: Trade, status: Status = Status.OPEN, tag: str | None = None
) -> OrderReport:
    """Return a report of an external order."""
    terms = OrderTerms("paper", SHARE, Side.BUY, Decimal(10), OrderType.LIMIT, limit_price=Decimal(100))
    filled = sum((trade.quantity for trade in trades), Decimal(0))
    at = datetime.fromisoformat("2026-11-20T05:30:00+00:00")
    return OrderReport(number, tag, status, terms, filled, trades, at)
