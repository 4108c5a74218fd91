"""The order book of the exchange: its orders and the market of each symbol, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Quote
from algosat.domain.market_phases import Phase
from algosat.domain.orders import OrderTerms, Side, Status, Trade
from algosat.domain.orders.report import OrderReport
from algosat.exchange.listings import Listing


@dataclass(frozen=True, slots=True)
class BookOrder:
    """An order at the exchange."""

    id: str  # the exchange's number
    tag: str
    terms: OrderTerms
    status: Status
    day: date  # the trading day on which it is valid; of a GTC order, the one on which it was placed
    placed_at: datetime
    updated_at: datetime
    limit: Decimal | None = None  # the worst price it may trade at now; None until a stop is triggered
    queue_ahead: Decimal = ZERO  # displayed quantity at its price that trades before it
    incoming: bool = False  # arrived at a stale quote: matched as a new order at the next tick
    filled_quantity: Decimal = ZERO
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
        """Whether its limit allows a trade at this price."""
        if self.limit is None:
            return False
        return price <= self.limit if self.terms.side is Side.BUY else price >= self.limit

    def changed(self, at: datetime, **fields: object) -> BookOrder:
        return replace(self, updated_at=max(at, self.updated_at), version=self.version + 1, **fields)  # type: ignore[arg-type]

    def moved_up(self, queue_ahead: Decimal) -> BookOrder:
        """Return the order with a new queue position, which is not reported: the version stays."""
        return replace(self, queue_ahead=queue_ahead)

    def filled(self, listing: Listing, quantity: Decimal, price: Decimal, at: datetime) -> BookOrder:
        number, fee, currency = f"{self.id}-{len(self.trades) + 1}", None, None
        if listing.fee is not None:
            fee, currency = listing.fee.of(listing.instrument, self.terms.side, quantity, price)
        trade = Trade(number, quantity, price, at, fee, currency)
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
    """The market of one symbol, and our live orders in it."""

    symbol: str
    quote: Quote | None = None
    phase: Phase = Phase.CLOSED
    orders: tuple[BookOrder, ...] = ()  # live, in order of arrival
    bids_taken: Decimal = ZERO  # displayed quantity, from the best price on, that our orders have taken
    asks_taken: Decimal = ZERO
    reference: Decimal | None = None  # the closing auction's reference price

    def order(self, order_id: str) -> BookOrder | None:
        return next((order for order in self.orders if order.id == order_id), None)

    def keeping(self, order: BookOrder) -> SymbolBook:
        """Return the book with this version of an order, or without the order if it is no longer live."""
        if self.order(order.id) is None:
            return replace(self, orders=(*self.orders, order)) if order.is_live else self
        newest = (order if each.id == order.id else each for each in self.orders)
        return replace(self, orders=tuple(each for each in newest if each.is_live))

    def taken(self, side: Side) -> Decimal:
        return self.bids_taken if side is Side.BUY else self.asks_taken

    def taking(self, side: Side, quantity: Decimal) -> SymbolBook:
        """Return the book with `quantity` more taken from one side's displayed levels."""
        if side is Side.BUY:
            return replace(self, bids_taken=self.bids_taken + quantity)
        return replace(self, asks_taken=self.asks_taken + quantity)

    def quoted(self, quote: Quote, traded: Decimal) -> SymbolBook:
        """Return the book with a new quote. Taken quantity reappears only as fast as the market trades."""
        return SymbolBook(
            self.symbol,
            quote,
            self.phase,
            self.orders,
            bids_taken=max(self.bids_taken - traded, ZERO),
            asks_taken=max(self.asks_taken - traded, ZERO),
            reference=self.reference,
        )
