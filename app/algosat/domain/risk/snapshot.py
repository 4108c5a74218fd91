"""The risk snapshot: the market and the account's book at one moment, as the gate judges an order by them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument, InstrumentKind, Quote
from algosat.domain.market_phases import Phase
from algosat.domain.orders import Order, OrderTerms, Product, Side
from algosat.domain.risk.limits import Limits


@dataclass(frozen=True, slots=True)
class ExposureLine:
    """The position and working orders of one strategy in one symbol under one product."""

    strategy: str  # '' for orders placed by hand
    symbol: str
    product: Product
    kind: InstrumentKind
    last: Decimal  # the last price
    price: Decimal  # the highest of the last price and the prices of its working orders
    quantity: Decimal = ZERO  # negative: short
    cost: Decimal = ZERO
    working_buys: Decimal = ZERO
    working_sells: Decimal = ZERO

    @property
    def worst_quantity(self) -> Decimal:
        """The largest position, long or short, if the working orders fill in the worst sequence."""
        return max(self.quantity + self.working_buys, self.working_sells - self.quantity)

    @property
    def exposure(self) -> Decimal:
        return self.worst_quantity * self.price

    @property
    def unrealised(self) -> Decimal:
        return self.quantity * self.last - self.cost

    def left_to_reduce(self, side: Side) -> Decimal:
        """Return by how much an order of this side could still reduce the position."""
        working = self.working_buys if side is Side.BUY else self.working_sells
        return max(-side.sign * self.quantity - working, ZERO)

    def with_order(self, terms: OrderTerms) -> ExposureLine:
        """Return the line with this order working too."""
        price = max(self.price, price_of(terms, self.last))
        if terms.side is Side.BUY:
            return replace(self, price=price, working_buys=self.working_buys + terms.quantity)
        return replace(self, price=price, working_sells=self.working_sells + terms.quantity)


@dataclass(slots=True)
class ExposureTally:
    """Running totals of one exposure line: its position, its working orders and their pending changes."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    working_buys: Decimal = ZERO
    working_sells: Decimal = ZERO
    highest_price: Decimal = ZERO  # of the orders

    def add(self, side: str, quantity: Decimal, prices: Iterable[Decimal | None]) -> None:
        """Add a working order, or the sum of several on one side."""
        if side == Side.BUY:
            self.working_buys += quantity
        else:
            self.working_sells += quantity
        self.highest_price = max([self.highest_price, *(price for price in prices if price is not None)])

    def add_change(self, order: Order) -> None:
        """Add the order's pending change besides the order itself: the broker may have made it already."""
        change = order.pending_change
        if change is not None:
            added = max(change.quantity - order.terms.quantity, ZERO)
            self.add(order.terms.side, added, change.prices.values())

    def line(
        self, strategy: str, symbol: str, product: Product, kind: InstrumentKind, last: Decimal
    ) -> ExposureLine:
        """Return the exposure line of these totals."""
        return ExposureLine(
            strategy=strategy,
            symbol=symbol,
            product=product,
            kind=kind,
            last=last,
            price=max(last, self.highest_price),
            quantity=self.quantity,
            cost=self.cost,
            working_buys=self.working_buys,
            working_sells=self.working_sells,
        )


@dataclass(frozen=True, slots=True)
class RiskScope:
    """The exposure, activity and limits of the account or of one strategy."""

    name: str
    limits: Limits
    lines: tuple[ExposureLine, ...]
    working_orders: int
    orders_last_second: int
    orders_today: int
    day_result: Decimal  # profit (negative: loss) since the trading day began, fees included

    @property
    def exposure(self) -> Decimal:
        return sum((line.exposure for line in self.lines), ZERO)

    def exposure_in(self, symbol: str) -> Decimal:
        return sum((line.exposure for line in self.lines if line.symbol == symbol), ZERO)


@dataclass(frozen=True, slots=True)
class RiskSnapshot:
    at: datetime
    instrument: Instrument
    quote: Quote
    phase: Phase
    last_trading: datetime  # when continuous trading last was; `at` during it
    trading_day: date
    square_off_at: datetime | None  # when intraday positions of this segment are closed; None: never
    halts: tuple[str, ...]  # reasons of the halts that apply to the order
    position: ExposureLine  # of the order's strategy, symbol and product
    scopes: tuple[RiskScope, ...]  # the account's, then the strategy's if it has limits of its own
    available: Decimal  # funds that are not used as margin
    is_repeat: bool  # an equal order was placed within the duplicate window

    def added_exposure(self, terms: OrderTerms) -> Decimal:
        """Return by how much the order could raise the exposure; zero if the worst case stays the same."""
        return max(self.position.with_order(terms).exposure - self.position.exposure, ZERO)

    def is_exit(self, terms: OrderTerms) -> bool:
        """Return whether the order can only reduce its position, marked reduce-only or not."""
        return terms.quantity <= self.position.left_to_reduce(terms.side)


def price_of(terms: OrderTerms, last: Decimal) -> Decimal:
    """Return the price at which the order is valued: the highest it names, and at least the last price."""
    return terms.dearest(last)
