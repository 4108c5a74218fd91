"""What a strategy is, and what it is given to work with.

    class Mine(Strategy[MyParameters]):
        parameters_model = MyParameters

        def on_bar(self, bar: Bar) -> None:
            if ...:
                self.buy(bar.symbol, self.parameters.quantity)

Callbacks run one at a time and must return quickly; a process that hangs is killed. What a strategy has to
remember goes into `self.state`: it is kept when the process is stopped, crashes or is moved. What it
holds and what it has working is asked, never remembered: the book is the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from algosat.domain.calendar import Calendar
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import ModifyRequest, Order, OrderTerms, OrderType, Side, Validity
from algosat.errors import CalendarUnknown
from algosat.strategies.bars import Bar
from algosat.strategies.parameters import Parameters

P = TypeVar("P", bound=Parameters)
State = dict[str, Any]


class StrategyContext(Protocol):
    """The trading floor as one strategy sees it: the market, its own book, and the verbs."""

    @property
    def account(self) -> str: ...

    @property
    def strategy(self) -> str:
        """The name its orders carry."""

    @property
    def now(self) -> datetime: ...

    def instrument(self, symbol: str) -> Instrument:
        """Raises NotFound for a symbol nobody lists."""

    def quote(self, symbol: str) -> Quote | None: ...

    def opens_at(self, symbol: str, at: datetime) -> datetime | None:
        """When continuous trading begins on the exchange's date of `at`.

        None where that day has none, the market never closes, or the calendar does not cover it.
        """

    def position(self, symbol: str) -> Decimal:
        """What this strategy holds under its product; negative: short."""

    def working(self) -> Sequence[Order]:
        """Its orders that are not at an end, oldest first."""

    def place(self, terms: OrderTerms) -> Order:
        """An order the gate denied comes back `denied`, with code and reason; nothing is raised."""

    def cancel(self, order_id: str) -> Order:
        """Ask for a cancel; an order that has ended comes back as it is."""

    def modify(self, order_id: str, revision: ModifyRequest) -> Order:
        """Ask for new terms; an order that cannot be changed, or may not be, comes back as it is."""

    def close(self, symbol: str) -> Sequence[Order]:
        """Market orders for what is left of the position after orders that are working; maybe none."""


def opening_of(calendar: Calendar, instrument: Instrument, at: datetime) -> datetime | None:
    """What a floor answers when it is asked for the opening."""
    try:
        return calendar.opens_at(instrument.segment, instrument.has_derivatives, at)
    except CalendarUnknown:
        return None  # nothing can be opened on such a day


class Strategy(Generic[P]):
    """Base of all strategies. Override the callbacks that are of interest."""

    parameters_model: ClassVar[type[Parameters]]

    def __init__(self, parameters: P, context: StrategyContext, state: State) -> None:
        self.parameters = parameters
        self.context = context
        self.state = state  # JSON: text, numbers, lists, dictionaries with text keys

    # --- what happens to it ------------------------------------------------------------------------

    def on_start(self) -> None:
        """The process has started, for the first time or again."""

    def on_bar(self, bar: Bar) -> None:
        """A bar of one of its symbols is complete."""

    def on_quote(self, quote: Quote) -> None:
        """One of its symbols has a new price."""

    def on_order(self, order: Order) -> None:
        """One of its orders has changed; of several changes in a row only the last is told."""

    def on_stop(self) -> None:
        """It was asked to stop. Orders placed before stay where they are unless it cancels them."""

    @classmethod
    def migrate_state(cls, state: State, before: P, now: P) -> State:
        """The state to begin with, given one that was kept under other parameters.

        It is dropped unless a class knows better: what was computed otherwise cannot be trusted.
        """
        return state if before == now else {}

    # --- what it can do ------------------------------------------------------------------------------

    def buy(
        self,
        symbol: str,
        quantity: Decimal,
        *,
        limit: Decimal | None = None,
        trigger: Decimal | None = None,
        validity: Validity = Validity.DAY,
        reduce_only: bool = False,
    ) -> Order:
        """At the market, or at `limit`, or as a stop at `trigger`; both make a stop-limit order."""
        return self._place(Side.BUY, symbol, quantity, limit, trigger, validity, reduce_only)

    def sell(
        self,
        symbol: str,
        quantity: Decimal,
        *,
        limit: Decimal | None = None,
        trigger: Decimal | None = None,
        validity: Validity = Validity.DAY,
        reduce_only: bool = False,
    ) -> Order:
        return self._place(Side.SELL, symbol, quantity, limit, trigger, validity, reduce_only)

    def change(
        self,
        order: Order,
        *,
        quantity: Decimal | None = None,
        limit: Decimal | None = None,
        trigger: Decimal | None = None,
    ) -> Order:
        """New terms for a working order; what is not named stays as it is.

        They hold once the broker has confirmed them; until then the order is `pending_modify`. It comes
        back as it was where it cannot be changed now, or the gate says no.
        """
        return self.context.modify(order.id, ModifyRequest(quantity, limit, trigger))

    def close(self, symbol: str) -> Sequence[Order]:
        return self.context.close(symbol)

    def cancel_working(self, symbol: str) -> None:
        for order in self.working(symbol):
            self.context.cancel(order.id)

    def position(self, symbol: str) -> Decimal:
        return self.context.position(symbol)

    def working(self, symbol: str) -> list[Order]:
        return [order for order in self.context.working() if order.terms.symbol == symbol]

    def _place(
        self,
        side: Side,
        symbol: str,
        quantity: Decimal,
        limit: Decimal | None,
        trigger: Decimal | None,
        validity: Validity,
        reduce_only: bool,
    ) -> Order:
        return self.context.place(
            OrderTerms(
                account=self.context.account,
                symbol=symbol,
                side=side,
                quantity=quantity,
                type=_TYPES[limit is not None, trigger is not None],
                limit_price=limit,
                trigger_price=trigger,
                product=self.parameters.product,
                validity=validity,
                reduce_only=reduce_only,
                strategy=self.context.strategy,
                algo_id=self.parameters.algo_id,
            )
        )


_TYPES = {
    (False, False): OrderType.MARKET,
    (True, False): OrderType.LIMIT,
    (False, True): OrderType.STOP,
    (True, True): OrderType.STOP_LIMIT,
}
