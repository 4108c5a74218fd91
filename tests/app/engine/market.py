"""An exchange with hours and prices of its own, which fills orders and checks every exit that it gets."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from typing import Final

from algosat.brokers.base import BookHint, BookReading, BrokerPosition, BrokerSession, SessionState
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.decimals import ZERO
from algosat.domain.orders import LIVE, Order, OrderChange, OrderTerms, Product, Status, Trade
from algosat.domain.orders.report import OrderReport
from algosat.errors import BrokerNotReached, BrokerRejected, BrokerUncertain
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

Line = tuple[str, str, str]  # strategy, symbol, product

_OPENS, _CLOSES, _SATURDAY = time(9, 15), time(15, 30), 5
_TICK: Final = Decimal("0.05")


class Market(FakeExchange):
    """An exchange that trades on every weekday, whatever any calendar says.

    `failures` names each exit that could exceed its position, or did when it was filled.
    """

    def __init__(self, clock: FakeClock, chance: random.Random, lots: Mapping[str, int]) -> None:
        super().__init__(clock)
        self.chance, self.lots = chance, lots
        self.prices = dict.fromkeys(lots, Decimal(100))
        self.held: dict[Line, Decimal] = defaultdict(Decimal)
        self.ours: dict[str, OrderTerms] = {}  # by tag: a broker does not know the strategy
        self.days: dict[str, date] = {}  # on which each order is valid, by tag
        self.converting: dict[str, str] = {}  # the strategy whose position is converted, by symbol
        self.loses_conversions = False  # requests for conversions, or their answers
        self.is_away = False
        self.share_lost = 0.0  # of requests and answers, while the broker is slow
        self.failures: list[str] = []

    # --- what the engine calls -----------------------------------------------------------------------

    def session(self) -> BrokerSession:
        return BrokerSession(
            SessionState.UNREACHABLE if self.is_away else SessionState.ACTIVE, "set by the test"
        )

    def place(self, order: Order) -> OrderReport:
        self._lose_request()
        self._require_open()
        self.ours[order.id], self.days[order.id] = order.terms, self._today()
        self._check_room(order.id, order.terms)
        report = super().place(order)
        self._lose_answer()
        return report

    def modify(self, order: Order, change: OrderChange) -> OrderReport:
        self._lose_request()
        self._require_open()
        report = super().modify(order, change)
        report = self._put(
            replace(report, terms=replace(report.terms, protection_price=change.protection_price))
        )
        self._check_room(
            order.id, report.terms, filled=report.filled_quantity, changed=report.broker_order_id
        )
        self._lose_answer()
        return report

    def cancel(self, order: Order) -> OrderReport:
        self._lose_request()
        report = super().cancel(order)
        self._lose_answer()
        return report

    def convert(self, symbol: str, quantity: Decimal, source: Product, target: Product) -> None:
        self._lose_request()
        self._require_open()
        if self.loses_conversions and self.chance.random() < 0.5:
            raise BrokerUncertain("the request was lost")
        strategy = self.converting[symbol]
        before = self.held[strategy, symbol, source.value]
        if before * quantity <= 0 or abs(quantity) > abs(before):
            raise BrokerRejected("not held", code="more_than_held")
        exits = sum(
            self._left(report)
            for report in self.live()
            if self.line_of(report.tag) == (strategy, symbol, source.value)
            and report.terms.side.sign * quantity < 0
        )
        if exits + abs(quantity) > abs(before):
            self.failures.append(
                f"{quantity} {symbol} are converted of {before}, and exits could take {exits}"
            )
        super().convert(symbol, quantity, source, target)
        self.held[strategy, symbol, source.value] -= quantity
        self.held[strategy, symbol, target.value] += quantity
        self._lose_answer()
        if self.loses_conversions:
            raise BrokerUncertain("the answer was lost")

    def positions(self) -> list[BrokerPosition]:
        self._lose_request()
        found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for (_, symbol, product), quantity in self.held.items():
            found[symbol, product] += quantity
        return [BrokerPosition(symbol, Product(product), each) for (symbol, product), each in found.items()]

    def find(self, order: Order) -> OrderReport | None:
        self._lose_request()
        return super().find(order)

    def read_book(self, hint: BookHint) -> BookReading:
        self._lose_request()
        return super().read_book(hint)

    # --- what the market does ------------------------------------------------------------------------

    def is_open(self) -> bool:
        local = self.clock().astimezone(EXCHANGE_TIME)
        return local.weekday() < _SATURDAY and _OPENS <= local.time() < _CLOSES

    def live(self) -> list[OrderReport]:
        return [report for report in self.book.values() if report.status in LIVE]

    def move(self, ticks: int = 10) -> None:
        """Move every price by at most so many ticks."""
        for symbol, price in self.prices.items():
            self.prices[symbol] = price + self.chance.randint(-ticks, ticks) * _TICK

    def trade(self, *, share: float = 1.0) -> None:
        """Trigger stops, and fill this share of the orders that the price reaches, some of them in part.

        At the end of the day the orders expire.
        """
        for report in self.live():
            if not self.is_open() or self.days[str(report.tag)] < self._today():
                self._put(replace(report, status=Status.EXPIRED))
            elif self._has_triggered(report) and self.chance.random() < share:
                self._fill(report, is_whole=share == 1 or self.chance.random() < 0.5)

    def fill_part(self, choose: Callable[[OrderReport], bool]) -> bool:
        """Fill a part of one chosen order. Return whether there was one."""
        for report in self.live():
            left, lot = self._left(report), self.lots[report.terms.symbol]
            if choose(report) and report.status is not Status.TRIGGER_PENDING and left > lot:
                self._book(report, lot * max(int(left / lot / 2), 1))
                return True
        return False

    def line_of(self, tag: str | None) -> Line:
        terms = self.ours[str(tag)]
        return terms.strategy or "", terms.symbol, terms.product.value

    # --- helpers -------------------------------------------------------------------------------------

    def _today(self) -> date:
        return self.clock().astimezone(EXCHANGE_TIME).date()

    def _require_open(self) -> None:
        if not self.is_open():
            raise BrokerRejected("the session is closed", code="session_closed")

    def _lose_request(self) -> None:
        if self.is_away:
            raise BrokerNotReached("the broker is away")
        if self.chance.random() < self.share_lost / 3:
            raise BrokerUncertain("the request was lost")

    def _lose_answer(self) -> None:
        if self.chance.random() < self.share_lost:
            raise BrokerUncertain("the answer was lost")

    def _has_triggered(self, report: OrderReport) -> bool:
        trigger, price = report.terms.trigger_price, self.prices[report.terms.symbol]
        if report.status is not Status.TRIGGER_PENDING or trigger is None:
            return True
        if (price - trigger) * report.terms.side.sign < 0:
            return False
        self._put(replace(report, status=Status.OPEN))
        return True

    def _fill(self, report: OrderReport, *, is_whole: bool) -> None:
        terms, price = report.terms, self.prices[report.terms.symbol]
        limit = terms.limit_price if terms.type.has_limit else terms.protection_price
        if limit is None or (price - limit) * terms.side.sign > 0:
            return
        lot = self.lots[terms.symbol]
        lots = int(self._left(report) / lot)
        self._book(report, lot * (lots if is_whole else self.chance.randint(1, lots)))

    def _left(self, report: OrderReport) -> Decimal:
        return report.terms.quantity - report.filled_quantity

    def _book(self, report: OrderReport, quantity: int) -> None:
        line, side = self.line_of(report.tag), report.terms.side
        before = self.held[line]
        if self.ours[str(report.tag)].reduce_only and (before * side.sign >= 0 or quantity > abs(before)):
            self.failures.append(f"exit {report.tag} of {quantity} is filled with {before} held in {line}")
        self.held[line] = before + side.sign * quantity
        filled = report.filled_quantity + quantity
        whole = filled == report.terms.quantity
        number = f"T{report.filled_quantity}"  # other orders have trades of this number, too
        trade = Trade(number, Decimal(quantity), self.prices[report.terms.symbol], self.clock())
        status = Status.FILLED if whole else Status.PARTIALLY_FILLED
        self._put(replace(report, status=status, filled_quantity=filled, trades=(*report.trades, trade)))

    def _check_room(
        self, tag: str, terms: OrderTerms, *, filled: Decimal = ZERO, changed: str | None = None
    ) -> None:
        """Note a failure if the live exits of the line together could exceed what is held."""
        if not self.ours[tag].reduce_only:
            return
        line = self.line_of(tag)
        others = (
            self._left(report)
            for report in self.live()
            if report.broker_order_id != changed
            and self.line_of(report.tag) == line
            and report.terms.side is terms.side
        )
        wanted, held = terms.quantity - filled + sum(others, ZERO), -terms.side.sign * self.held[line]
        if wanted > held:
            self.failures.append(f"live exits could take {wanted} from the {held} held in {line}")
