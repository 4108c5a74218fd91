"""The risk snapshot: the market and the account's book at one moment, as the gate judges an order by them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from decimal import Decimal

from algosat.domain import margin
from algosat.domain.arming import Arming
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.capabilities import Capabilities
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument, InstrumentKind, Quote
from algosat.domain.market_phases import Phase
from algosat.domain.option_margin import OptionRisk, margin_of_written
from algosat.domain.orders import Order, OrderTerms, Product, Side
from algosat.domain.risk.denial import Denial
from algosat.domain.risk.limits import Limits


class BookLine:
    """The position and working orders of one strategy in one symbol under one product."""

    __slots__ = ()

    strategy: str  # '' for orders placed by hand
    symbol: str
    product: Product
    quantity: Decimal  # negative: short
    working_buys: Decimal
    working_sells: Decimal

    def left_to_reduce(self, side: Side) -> Decimal:
        """Return by how much an order of this side could still reduce the position."""
        working = self.working_buys if side is Side.BUY else self.working_sells
        return max(-side.sign * self.quantity - working, ZERO)


@dataclass(frozen=True, slots=True)
class ExposureLine(BookLine):
    """A line of the book with a price, so that its exposure is known."""

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
    option: OptionRisk | None = None  # of an option

    @property
    def most_long(self) -> Decimal:
        """The position if all working buys fill, and no working sell."""
        return self.quantity + self.working_buys

    @property
    def most_short(self) -> Decimal:
        """The short position if all working sells fill, and no working buy; negative: still long."""
        return self.working_sells - self.quantity

    @property
    def worst_quantity(self) -> Decimal:
        """The largest position, long or short, if the working orders fill in the worst sequence."""
        return max(self.most_long, self.most_short)

    @property
    def exposure(self) -> Decimal:
        """The value of the worst position. That of a written option is the value of its underlying."""
        if self.option is None or self.most_short <= 0:
            return self.worst_quantity * self.price
        return max(self.most_long * self.price, self.most_short * self.option.underlying)

    @property
    def margin(self) -> Decimal:
        if self.option is None or self.most_short <= 0:
            return margin.required(self.kind, self.product, self.exposure)
        held = margin.required(self.kind, self.product, self.most_long * self.price)
        return max(held, self.most_short * margin_of_written(self.option, self.last))

    @property
    def unrealised(self) -> Decimal:
        return self.quantity * self.last - self.cost

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
        self,
        strategy: str,
        symbol: str,
        product: Product,
        kind: InstrumentKind,
        last: Decimal,
        option: OptionRisk | None = None,
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
            option=option,
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
    def exposure_in_shares(self) -> Decimal:
        return sum((line.exposure for line in self.lines if not line.kind.is_derivative), ZERO)

    def exposure_in(self, symbol: str) -> Decimal:
        return sum((line.exposure for line in self.lines if line.symbol == symbol), ZERO)

    @property
    def margin_in_derivatives(self) -> Decimal:
        return sum((line.margin for line in self.lines if line.kind.is_derivative), ZERO)

    def margin_in(self, symbol: str) -> Decimal:
        return sum((line.margin for line in self.lines if line.symbol == symbol), ZERO)


@dataclass(frozen=True, slots=True)
class RiskSnapshot:
    """The market and the book, for one order. `unknown` lists missing facts; they deny entries only."""

    at: datetime
    instrument: Instrument | None  # as it was last listed; None if it never was
    quote: Quote | None  # the last one, however old
    phase: Phase | None  # None: the calendar does not cover this moment
    last_trading: datetime  # when continuous trading last was; `at` during it, and if that is not known
    opens_at: datetime | None  # of a closed market: when it next accepts the order; None if that is not known
    trading_day: date  # the venue's date if the calendar does not cover this moment
    square_off_at: datetime | None  # when intraday positions of this segment are closed; None: never
    halts: tuple[str, ...]  # reasons of the halts that apply to the order
    position: BookLine  # of the order's strategy, symbol and product
    scopes: tuple[
        RiskScope, ...
    ]  # the account's; then the strategy's, and that of all accounts, if they have limits
    available: Decimal  # funds that are not used as margin
    is_repeat: bool  # an equal order was placed within the duplicate window
    number_of_orders: int = 1  # that are placed if the order passes: more than one if it is sliced
    unknown: tuple[Denial, ...] = ()  # what could not be read: each is the denial of an entry
    closed_by: str | None = None  # id of the close that the position is under
    awaits_outcome: bool = False  # an order of the same strategy and symbol is `unknown`
    capabilities: Capabilities | None = None  # of the account's broker; None: it takes every order
    arming: Arming = Arming.ARMED  # of the account
    zone: tzinfo = EXCHANGE_TIME  # of the venue's days

    @property
    def stale_after(self) -> float:
        """The greatest age of a quote, in seconds, at which it counts as fresh."""
        return min(scope.limits.stale_quote_seconds for scope in self.scopes)

    @property
    def fresh_quote(self) -> Quote | None:
        """The quote, unless it is too old or dated in the future: the market may have moved since."""
        if self.quote is None or abs(self.quote.age(self.at, self.last_trading)) > self.stale_after:
            return None
        return self.quote

    def circuit_quote(self, terms: OrderTerms) -> Quote | None:
        """Return the quote that shows the circuit limits for an order; None if they are not known.

        The circuit limits of another day do not block an exit.
        """
        if terms.reduce_only and self.quote is not None and self._date(self.quote.at) != self._date(self.at):
            return None
        return self.quote

    def _date(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    @property
    def priced_position(self) -> ExposureLine:
        """The position with its price. Checks of entries use it: they run only if nothing is unknown."""
        if isinstance(self.position, ExposureLine):
            return self.position
        raise ValueError(f"there is no price of {self.position.symbol}")

    @property
    def is_in_derivative(self) -> bool:
        """Whether the order is in a future or option, which has limits of its own."""
        return self.priced_position.kind.is_derivative

    def added_exposure(self, terms: OrderTerms) -> Decimal:
        """Return by how much the order could raise the exposure; zero if the worst case stays the same."""
        position = self.priced_position
        return max(position.with_order(terms).exposure - position.exposure, ZERO)

    def added_margin(self, terms: OrderTerms) -> Decimal:
        """Return by how much the order could raise the margin."""
        position = self.priced_position
        return max(position.with_order(terms).margin - position.margin, ZERO)

    def without_one_order(self) -> RiskSnapshot:
        """Return the snapshot without one order of today, which is being checked again."""
        scopes = (replace(scope, orders_today=scope.orders_today - 1) for scope in self.scopes)
        return replace(self, scopes=tuple(scopes))

    def is_exit(self, terms: OrderTerms) -> bool:
        """Return whether the order can only reduce its position, marked reduce-only or not."""
        return terms.quantity <= self.position.left_to_reduce(terms.side)


def price_of(terms: OrderTerms, last: Decimal) -> Decimal:
    """Return the price at which the order is valued: the highest it names, and at least the last price."""
    return terms.dearest(last)
