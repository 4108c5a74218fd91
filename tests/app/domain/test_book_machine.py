"""Properties of any sequence of events: replay gives the state, fills the position, and cash is conserved."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from algosat.domain.orders import (
    EventKind,
    Order,
    OrderChange,
    OrderEvent,
    OrderTerms,
    OrderType,
    Side,
    Status,
    Trade,
    apply,
    create,
    may_happen,
)
from algosat.domain.positions import Position, fill
from tests.app.thorough import examples

NOW = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)
QUANTITIES = st.integers(1, 50).map(Decimal)
PRICES = st.integers(1, 400).map(lambda ticks: Decimal(ticks) * Decimal("0.05"))
# Events that need neither a trade nor a change.
PLAIN = sorted(
    set(EventKind)
    - {EventKind.CREATED, EventKind.FILLED, EventKind.MODIFY_REQUESTED, EventKind.TRADE_CANCELLED}
)


class Book(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.orders: list[Order] = []
        self.placed: list[Order] = []
        self.histories: list[list[OrderEvent]] = []
        self.most_filled: list[Decimal] = []
        self.position = Position("paper", "", "ALPHA-EQ", "intraday")
        self.trades: list[tuple[Side, Decimal, Decimal]] = []
        self.fees = Decimal(0)

    @rule(side=st.sampled_from(Side), quantity=QUANTITIES, kind=st.sampled_from(OrderType))
    def place(self, side: Side, quantity: Decimal, kind: OrderType) -> None:
        terms = OrderTerms(
            "paper", "ALPHA-EQ", side, quantity, kind, limit_price=Decimal(10), trigger_price=Decimal(11)
        )
        self.placed.append(create(f"a{len(self.orders):017d}", terms, NOW))
        self.orders.append(self.placed[-1])
        self.histories.append([])
        self.most_filled.append(Decimal(0))

    @rule(which=st.integers(0), kind=st.sampled_from(PLAIN))
    def event_arrives(self, which: int, kind: EventKind) -> None:
        self._try(which, OrderEvent(kind, NOW))

    @rule(which=st.integers(0), quantity=QUANTITIES, price=PRICES)
    def change_is_requested(self, which: int, quantity: Decimal, price: Decimal) -> None:
        self._try(
            which,
            OrderEvent(
                EventKind.MODIFY_REQUESTED,
                NOW,
                change=OrderChange(quantity, limit_price=price, trigger_price=None),
            ),
        )

    @rule(which=st.integers(0), quantity=QUANTITIES, price=PRICES, fees=st.integers(0, 300))
    def trade_arrives(self, which: int, quantity: Decimal, price: Decimal, fees: int) -> None:
        if not self.orders:
            return
        order = self.orders[which % len(self.orders)]
        quantity = min(quantity, order.remaining_quantity)
        if quantity <= 0:
            return
        trade = Trade(f"T{len(self.trades)}", quantity, price, NOW)
        if self._try(which, OrderEvent(EventKind.FILLED, NOW, trade=trade)):
            charged = Decimal(fees) / 100
            self.position = fill(self.position, order.terms.side, quantity, price, charged)
            self.trades.append((order.terms.side, quantity, price))
            self.fees += charged

    def _try(self, which: int, event: OrderEvent) -> bool:
        if not self.orders:
            return False
        index = which % len(self.orders)
        if not may_happen(self.orders[index], event.kind):
            return False
        self.orders[index] = apply(self.orders[index], event)
        self.histories[index].append(event)
        return True

    @invariant()
    def replay_equals_state(self) -> None:
        for order, placed, history in zip(self.orders, self.placed, self.histories, strict=True):
            assert reduce(apply, history, placed) == order

    @invariant()
    def filled_quantity_neither_falls_nor_exceeds_the_order(self) -> None:
        for index, order in enumerate(self.orders):
            assert self.most_filled[index] <= order.filled_quantity <= order.terms.quantity
            self.most_filled[index] = order.filled_quantity
            assert (order.status is Status.FILLED) == (
                order.remaining_quantity == 0 and order.filled_quantity > 0
            )

    @invariant()
    def position_is_the_sum_of_the_fills(self) -> None:
        assert self.position.quantity == sum(side.sign * quantity for side, quantity, _ in self.trades)

    @invariant()
    def cash_is_conserved(self) -> None:
        """Payments and receipts equal the realised profit less the cost of the open position, exactly."""
        flow = sum(-side.sign * quantity * price for side, quantity, price in self.trades)
        assert flow == self.position.realised - self.position.cost
        assert self.position.fees == self.fees


TestBook = Book.TestCase
TestBook.settings = settings(max_examples=examples(60), stateful_step_count=40)
