"""The exchange's own book: its orders, and what it knows of each symbol. Plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from algosat.domain.instruments import Quote
from algosat.domain.market_phases import Phase
from algosat.domain.orders import OrderTerms, Side, Status, Trade
from algosat.domain.orders.report import OrderReport

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class BookOrder:
    """An order as the exchange has it."""

    id: str  # the exchange's number
    tag: str
    terms: OrderTerms
    status: Status
    day: date  # the trading day it is good for
    placed_at: datetime
    updated_at: datetime
    limit: Decimal | None = None  # the worst price it may trade at now; none while a stop waits
    queue_ahead: Decimal = NOTHING  # displayed before it at its price when it came to rest
    incoming: bool = False  # it met a stale market, and is to be matched as new at the next tick
    filled_quantity: Decimal = NOTHING
    trades: tuple[Trade, ...] = ()
    reason: str | None = None
    version: int = 1

    @property
    def remaining(self) -> Decimal:
        return self.terms.quantity - self.filled_quantity

    @property
    def is_live(self) -> bool:
        return self.status in (Status.OPEN, Status.TRIGGER_PENDING, Status.PARTIALLY_FILLED)

    @property
    def has_triggered(self) -> bool:
        return self.terms.type.has_trigger and self.limit is not None

    def reaches(self, price: Decimal) -> bool:
        """Whether its limit lets it trade at this price."""
        if self.limit is None:
            return False
        return price <= self.limit if self.terms.side is Side.BUY else price >= self.limit

    def changed(self, at: datetime, **fields: object) -> BookOrder:
        return replace(self, updated_at=max(at, self.updated_at), version=self.version + 1, **fields)  # type: ignore[arg-type]

    def moved_up(self, queue_ahead: Decimal) -> BookOrder:
        """Nearer in its queue: nothing that anybody is told of."""
        return replace(self, queue_ahead=queue_ahead)

    def filled(self, quantity: Decimal, price: Decimal, at: datetime) -> BookOrder:
        trade = Trade(id=f"{self.id}-{len(self.trades) + 1}", quantity=quantity, price=price, at=at)
        done = quantity == self.remaining
        return self.changed(
            at,
            filled_quantity=self.filled_quantity + quantity,
            trades=(*self.trades, trade),
            status=Status.FILLED if done else Status.PARTIALLY_FILLED,
        )

    def ended(self, status: Status, reason: str, at: datetime) -> BookOrder:
        return self.changed(at, status=status, reason=reason)

    def report(self) -> OrderReport:
        return OrderReport(
            broker_order_id=self.id,
            tag=self.tag,
            status=self.status,
            terms=self.terms,
            filled_quantity=self.filled_quantity,
            trades=self.trades,
            at=self.updated_at,
            reason=self.reason,
        )


@dataclass(frozen=True, slots=True)
class SymbolBook:
    """One symbol: its market as displayed, and our live orders in it."""

    symbol: str
    quote: Quote | None = None
    phase: Phase = Phase.CLOSED
    orders: tuple[BookOrder, ...] = ()  # live ones, in order of arrival
    bids_taken: Decimal = NOTHING  # of what is displayed, from the best price on, by our own orders
    asks_taken: Decimal = NOTHING
    reference: Decimal | None = None  # the closing auction's reference price

    def order(self, order_id: str) -> BookOrder | None:
        return next((order for order in self.orders if order.id == order_id), None)

    def keeping(self, order: BookOrder) -> SymbolBook:
        """With this order in its newest form; one that has ended leaves."""
        if self.order(order.id) is None:
            return replace(self, orders=(*self.orders, order)) if order.is_live else self
        newest = (order if each.id == order.id else each for each in self.orders)
        return replace(self, orders=tuple(each for each in newest if each.is_live))

    def taken(self, side: Side) -> Decimal:
        return self.bids_taken if side is Side.BUY else self.asks_taken

    def taking(self, side: Side, quantity: Decimal) -> SymbolBook:
        """With that much more of one side's display used up."""
        if side is Side.BUY:
            return replace(self, bids_taken=self.bids_taken + quantity)
        return replace(self, asks_taken=self.asks_taken + quantity)

    def quoted(self, quote: Quote, traded: Decimal) -> SymbolBook:
        """With a new quote. What was used up comes back no faster than the market trades."""
        return SymbolBook(
            self.symbol,
            quote,
            self.phase,
            self.orders,
            bids_taken=max(self.bids_taken - traded, NOTHING),
            asks_taken=max(self.asks_taken - traded, NOTHING),
            reference=self.reference,
        )
