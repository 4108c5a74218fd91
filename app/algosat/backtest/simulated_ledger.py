"""The ledger of a back-test: orders, positions, trades and cash of one strategy, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from algosat.backtest.contract_notes import ContractNotes
from algosat.domain.decimals import ZERO
from algosat.domain.fees import Charges
from algosat.domain.funds import Funds, margin_of
from algosat.domain.instruments import Instrument, InstrumentKind, Quote
from algosat.domain.orders import Order, OrderEvent, Product, Side, Trade, apply
from algosat.domain.orders.report import OrderReport
from algosat.domain.orders.report_events import events_from
from algosat.domain.positions import Position, fill
from algosat.domain.risk import ExposureLine, ExposureTally
from algosat.domain.trade_fees import charged_fill


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade, with its charges and the position before and after."""

    at: datetime
    trade_id: str
    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    charges: Charges
    before: Position
    after: Position

    @property
    def value(self) -> Decimal:
        return self.quantity * self.price


@dataclass(slots=True)
class SimulatedLedger:
    """The orders, positions and results of one strategy in one product."""

    account: str
    strategy: str
    product: Product
    deposited: Decimal
    notes: ContractNotes
    instrument_of: Callable[[str], Instrument]
    orders: dict[str, Order] = field(default_factory=dict)
    working: dict[str, Order] = field(default_factory=dict)  # oldest first
    positions: dict[str, Position] = field(default_factory=dict)  # by symbol
    fills: list[Fill] = field(default_factory=list)
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    other_fees: dict[str, Decimal] = field(default_factory=dict)  # by currency; not in `fees`
    _booked: dict[str, dict[str, Trade]] = field(default_factory=dict)  # by order and id

    def keep(self, order: Order) -> Order:
        """Store the present state of an order."""
        self.orders[order.id] = order
        if order.is_working:
            self.working[order.id] = order
        else:
            self.working.pop(order.id, None)
        return order

    def record(self, order: Order, event: OrderEvent) -> Order:
        """Apply an event to an order, book its trade, and return the new order."""
        changed = apply(order, event)
        if event.trade is not None:
            self._book(changed, event.trade)
        return self.keep(changed)

    def apply_report(self, report: OrderReport) -> Order | None:
        """Apply an order report. Returns None if it says nothing new."""
        order = self.orders[report.tag or ""]
        new = events_from(order, report, self._booked.get(order.id, {}), report.at)
        for event in new.events:
            order = self.record(order, event)
        return order if new.events else None

    def position(self, symbol: str) -> Position:
        return self.positions.get(symbol) or Position(self.account, self.strategy, symbol, self.product)

    def unrealised(self, quotes: Mapping[str, Quote]) -> Decimal:
        return sum((each.unrealised(quotes[each.symbol].last) for each in self._open()), ZERO)

    def net_pnl(self, quotes: Mapping[str, Quote]) -> Decimal:
        """Return the profit after fees so far, with open positions valued at their last price."""
        return self.realised - self.fees + self.unrealised(quotes)

    def exposure(self, quotes: Mapping[str, Quote]) -> Decimal:
        return sum((abs(each.quantity) * quotes[each.symbol].last for each in self._open()), ZERO)

    def lines(
        self,
        kind_of: Callable[[str], InstrumentKind],
        quotes: Mapping[str, Quote],
        *,
        without: str | None = None,
    ) -> tuple[ExposureLine, ...]:
        """Return the exposure lines of positions and working orders, except those of the order `without`."""
        working = [order for order in self.working.values() if order.id != without]
        symbols = {each.symbol for each in self._open()} | {order.terms.symbol for order in working}
        return tuple(
            self._line(symbol, kind_of(symbol), quotes[symbol].last, working) for symbol in sorted(symbols)
        )

    def funds(self, lines: tuple[ExposureLine, ...]) -> Funds:
        return Funds(
            deposited=self.deposited,
            realised=self.realised,
            fees=self.fees,
            unrealised=sum((line.unrealised for line in lines), ZERO),
            margin_used=margin_of(lines),
        )

    def _line(
        self, symbol: str, kind: InstrumentKind, last: Decimal, orders: Iterable[Order]
    ) -> ExposureLine:
        position = self.position(symbol)
        tally = ExposureTally(position.quantity, position.cost)
        for order in orders:
            if order.terms.symbol == symbol:
                tally.add(order.terms.side, order.remaining_quantity, order.terms.prices.values())
                tally.add_change(order)
        return tally.line(self.strategy, symbol, self.product, kind, last)

    def _open(self) -> list[Position]:
        return [position for position in self.positions.values() if position.quantity]

    def _book(self, order: Order, trade: Trade) -> None:
        terms, quantity = order.terms, trade.quantity
        if trade.fee is None:
            charges = self.notes.add_fill(order, trade)
        else:
            instrument = self.instrument_of(terms.symbol)
            charged = charged_fill(trade, terms.side, instrument, instrument.currency)
            charges, quantity = Charges(brokerage=charged.fees), charged.quantity
            if charged.other_currency is not None:
                paid = self.other_fees.get(charged.other_currency, ZERO)
                self.other_fees[charged.other_currency] = paid + charged.other_fee
        before = self.position(terms.symbol)
        after = fill(before, terms.side, quantity, trade.price, charges.total)
        self.positions[terms.symbol] = after
        self.realised += after.realised - before.realised
        self.fees += charges.total
        self._booked.setdefault(order.id, {})[trade.id] = trade
        self.fills.append(
            Fill(
                trade.at,
                trade.id,
                order.id,
                terms.symbol,
                terms.side,
                trade.quantity,
                trade.price,
                charges,
                before,
                after,
            )
        )
