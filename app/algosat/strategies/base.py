"""The interface of a strategy, and the context it works with.

    class Mine(Strategy[MyParameters]):
        parameters_model = MyParameters

        def on_bar(self, bar: Bar) -> None:
            if ...:
                self.buy(bar.symbol, self.parameters.quantity)

Callbacks run one at a time and must return quickly; a process that hangs is killed. `self.state` is stored
and survives a stop, a crash and a move to another server. Ask for positions and working orders each time and
never remember them: fills, halts and the operator change them too.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from algosat.domain.calendar import Calendar
from algosat.domain.gtt import GttOrder, GttRequest, SecondLeg
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.linked_exits import ExitPrices
from algosat.domain.linked_requests import ExitRequest
from algosat.domain.market_phases import has_ended
from algosat.domain.orders import ModifyRequest, Order, OrderTerms, OrderType, Side, TradingSession, Validity
from algosat.domain.pnl_exits import PnlExit
from algosat.errors import CalendarUnknown
from algosat.strategies.bars import SECONDS_A_DAY, Bar
from algosat.strategies.parameters import Parameters

P = TypeVar("P", bound=Parameters)
State = dict[str, Any]


class StrategyContext(Protocol):
    """What one strategy works with: market data, its own position and orders, and the order functions."""

    @property
    def account(self) -> str: ...

    @property
    def strategy(self) -> str:
        """Return the strategy's name, which its orders carry."""

    @property
    def now(self) -> datetime: ...

    def instrument(self, symbol: str) -> Instrument:
        """Return a listed instrument. Raises NotFound."""

    def quote(self, symbol: str) -> Quote | None: ...

    @property
    def zone(self) -> tzinfo:
        """The time zone of the venue's days: that of exchange time, or UTC for currency pairs."""

    def opens_at(self, symbol: str, at: datetime) -> datetime | None:
        """Return the start of continuous trading on the venue's date of `at`.

        None if that day has no trading, the market never closes, or the calendar does not cover the day.
        """

    def closes_at(self, symbol: str, at: datetime) -> datetime | None:
        """Return the end of continuous trading on the venue's date of `at`, or None as `opens_at` does."""

    def session(self, symbol: str) -> TradingSession:
        """Return the session that takes an order now: `after_market` once continuous trading has ended."""

    def position(self, symbol: str) -> Decimal:
        """Return the strategy's position in its product; negative if it is short."""

    def working(self) -> Sequence[Order]:
        """Return the strategy's working orders, oldest first."""

    def place(self, terms: OrderTerms, exits: ExitRequest | None = None) -> Order:
        """Place an order, with linked exits if any are given.

        A denied order is returned with its code and reason; nothing is raised.
        """

    def cancel(self, order_id: str) -> Order:
        """Request a cancel. An order that is no longer working is returned unchanged."""

    def modify(self, order_id: str, request: ModifyRequest) -> Order:
        """Request new terms. If the order cannot be modified, or the gate denies it, it is returned as is."""

    def close(self, symbol: str) -> Sequence[Order]:
        """Cancel the orders in the way and close the position; return the market orders placed at once."""

    def reach(self, terms: OrderTerms) -> Sequence[Order]:
        """Place the orders that lead to the position `terms.quantity`; negative: short.

        Side and reduce-only of `terms` follow from the present position. Nothing is placed if the position
        is reached, or while an order is working in the opposite direction.
        """

    def place_gtt(self, request: GttRequest) -> GttOrder | None:
        """Keep an order until a trigger price is reached. Returns None if the request is refused."""

    def gtts(self) -> Sequence[GttOrder]:
        """Return the strategy's GTT orders that wait, oldest first."""

    def cancel_gtt(self, gtt_id: str) -> GttOrder:
        """Cancel a GTT order. One that has ended is returned unchanged."""

    def set_pnl_exit(self, profit_target: Decimal | None, loss_limit: Decimal | None) -> PnlExit | None:
        """Set the strategy's P&L exit, or remove it if no amount is given. Returns the one in force."""


def opening_of(calendar: Calendar, instrument: Instrument, at: datetime) -> datetime | None:
    """Return what `StrategyContext.opens_at` returns, from a calendar."""
    try:
        return calendar.opens_at(instrument.segment, instrument.has_derivatives, at)
    except CalendarUnknown:
        return None  # the gate denies every order on such a day


def closing_of(calendar: Calendar, instrument: Instrument, at: datetime) -> datetime | None:
    """Return what `StrategyContext.closes_at` returns, from a calendar."""
    try:
        return calendar.closes_at(instrument.segment, instrument.has_derivatives, at)
    except CalendarUnknown:
        return None


def session_of(calendar: Calendar, instrument: Instrument, at: datetime) -> TradingSession:
    """Return what `StrategyContext.session` returns, from a calendar."""
    try:
        phase = calendar.phase(instrument.segment, instrument.has_derivatives, at)
    except CalendarUnknown:
        return TradingSession.REGULAR  # the gate denies the order
    return TradingSession.AFTER_MARKET if has_ended(phase) else TradingSession.REGULAR


class Strategy(Generic[P]):
    """Base class of all strategies. Override the callbacks that the strategy needs."""

    parameters_model: ClassVar[type[Parameters]]

    def __init__(self, parameters: P, context: StrategyContext, state: State) -> None:
        self.parameters = parameters
        self.context = context
        self.state = state  # JSON: text, numbers, lists, dictionaries with text keys

    # --- callbacks -----------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Handle the start of the process, the first or a later one."""

    def on_bar(self, bar: Bar) -> None:
        """Handle a closed bar of one of the strategy's symbols."""

    def on_quote(self, quote: Quote) -> None:
        """Handle a new quote of one of the strategy's symbols."""

    def on_order(self, order: Order) -> None:
        """Handle a change of one of the strategy's orders. Only the last of several changes is delivered."""

    def on_stop(self) -> None:
        """Handle the operator's request to stop. Orders stay working unless they are cancelled here."""

    @classmethod
    def migrate_state(cls, state: State, before: P, now: P) -> State:
        """Return the state to start with, from a state stored under other parameters.

        By default a changed parameter drops the state, since it may depend on that parameter.
        """
        if any("carry_over" in each.__dict__ for each in cls.__mro__ if each is not Strategy):
            _deprecated("Strategy.carry_over", "migrate_state")
            return cls.carry_over(state, before, now)
        return state if before == now else {}

    # --- orders and positions ------------------------------------------------------------------------

    def buy(
        self,
        symbol: str,
        quantity: Decimal,
        *,
        limit: Decimal | None = None,
        trigger: Decimal | None = None,
        validity: Validity = Validity.DAY,
        reduce_only: bool = False,
        session: TradingSession | None = None,
        stop_loss: Decimal | None = None,
        target: Decimal | None = None,
        trail: Decimal | None = None,
        exits_expire_on: date | None = None,
    ) -> Order:
        """Place a market order; with `limit` a limit order, with `trigger` a stop, with both a stop-limit.

        An order for the session `after_market` is held until the market opens; it can be placed once
        continuous trading has ended. From then on, `after_market` is the default for strategies on daily
        bars, whose bar ends with continuous trading. For strategies on shorter bars the default is the
        regular session.

        An entry with `stop_loss` (the trigger price of a stop) or `trail` (the distance at which the stop
        follows the price) is a bracket, with or without `target`. A reduce-only stop with `target` is an OCO
        pair; with `trail` it is a trailing stop, which needs no `trigger`. Until `exits_expire_on` the stop
        is placed again on each day; by default it ends with the day. `docs/api.md` describes them.
        """
        exits = _exits(stop_loss, target, trail, exits_expire_on, reduce_only=reduce_only)
        return self._place(Side.BUY, symbol, quantity, limit, trigger, validity, reduce_only, session, exits)

    def sell(
        self,
        symbol: str,
        quantity: Decimal,
        *,
        limit: Decimal | None = None,
        trigger: Decimal | None = None,
        validity: Validity = Validity.DAY,
        reduce_only: bool = False,
        session: TradingSession | None = None,
        stop_loss: Decimal | None = None,
        target: Decimal | None = None,
        trail: Decimal | None = None,
        exits_expire_on: date | None = None,
    ) -> Order:
        """Place an order to sell, with the order types of `buy`."""
        exits = _exits(stop_loss, target, trail, exits_expire_on, reduce_only=reduce_only)
        return self._place(Side.SELL, symbol, quantity, limit, trigger, validity, reduce_only, session, exits)

    def change(
        self,
        order: Order,
        *,
        quantity: Decimal | None = None,
        limit: Decimal | None = None,
        trigger: Decimal | None = None,
    ) -> Order:
        """Request new terms for a working order; arguments left out stay as they are.

        The order is `pending_modify` until the broker confirms the change. It is returned unchanged if it
        cannot be modified now or the gate denies the change.
        """
        return self.context.modify(order.id, ModifyRequest(quantity, limit, trigger))

    def close(self, symbol: str) -> Sequence[Order]:
        """Close the position at the market, after cancelling the orders that are in the way.

        Returns the orders placed at once. In live trading, quantity for which an order is working is closed
        once the broker has confirmed that order's cancel; `on_order` reports each step.
        """
        return self.context.close(symbol)

    def reach(self, symbol: str, quantity: Decimal, *, limit: Decimal | None = None) -> Sequence[Order]:
        """Place the orders that bring the position to this quantity; negative: short, zero: flat.

        They are market orders, or limit orders with `limit`. Working orders count as filled, stops excepted.
        Going from long to short, or back, takes an exit and an entry. Returns the orders placed: none if the
        position is reached, or while an order is working in the opposite direction; cancel that order first.
        """
        terms = self._terms(Side.BUY, symbol, quantity, limit, None, Validity.DAY, None, is_stop=False)
        return self.context.reach(terms)

    def place_gtt(
        self,
        side: Side,
        symbol: str,
        quantity: Decimal,
        at: Decimal,
        *,
        limit: Decimal | None = None,
        reduce_only: bool = False,
        second: SecondLeg | None = None,
        expires_on: date | None = None,
        stop_loss: Decimal | None = None,
        target: Decimal | None = None,
        trail: Decimal | None = None,
    ) -> GttOrder | None:
        """Keep an order until the last price reaches `at`, for a year or until `expires_on`.

        The order is a market order, with `limit` a limit order; with `stop_loss` or `trail` it is a bracket.
        `second` is a leg on the other side of the price: the order is placed with the prices of the leg that
        is reached first. When it is placed, the gate checks the order, and `on_order` reports it. Returns
        None if the request is refused: a price off the tick, or on the wrong side, for instance.
        """
        is_bracket = stop_loss is not None or trail is not None
        exits = _exits(stop_loss, target, trail, None, reduce_only=False) if is_bracket else None
        terms = self._terms(
            side, symbol, quantity, limit, None, Validity.DAY, TradingSession.REGULAR, is_stop=False
        )
        terms = replace(terms, reduce_only=reduce_only)
        return self.context.place_gtt(GttRequest(terms, at, exits, expires_on, second))

    def exit_at(self, *, profit: Decimal | None = None, loss: Decimal | None = None) -> PnlExit | None:
        """Close all positions of the strategy when its profit or loss of the day reaches an amount.

        Charges and open positions are included. The strategy is then halted until the day ends: entries are
        denied, its working orders are cancelled. The amounts apply on later days, too, until they are
        changed; without an amount, nothing applies any more. A P&L exit that the operator has set for the
        strategy stays as it is. Returns the P&L exit in force. Raises ValueError for an amount that is not
        positive.
        """
        return self.context.set_pnl_exit(profit, loss)

    def cancel_working(self, symbol: str) -> None:
        """Request a cancel of every working order of the symbol."""
        for order in self.working(symbol):
            self.context.cancel(order.id)

    def position(self, symbol: str) -> Decimal:
        """Return the strategy's position in the symbol; negative if it is short."""
        return self.context.position(symbol)

    def working(self, symbol: str) -> list[Order]:
        """Return the strategy's working orders of the symbol, oldest first."""
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
        session: TradingSession | None,
        exits: ExitRequest | None,
    ) -> Order:
        # A trailing stop has no trigger price until it is placed.
        is_stop = trigger is not None or (reduce_only and exits is not None)
        terms = self._terms(side, symbol, quantity, limit, trigger, validity, session, is_stop=is_stop)
        terms = replace(terms, reduce_only=reduce_only)
        return self.context.place(terms) if exits is None else self.context.place(terms, exits)

    def _terms(
        self,
        side: Side,
        symbol: str,
        quantity: Decimal,
        limit: Decimal | None,
        trigger: Decimal | None,
        validity: Validity,
        session: TradingSession | None,
        *,
        is_stop: bool,
    ) -> OrderTerms:
        """Return the terms of an order of this strategy. Without a session it is chosen as `buy` says."""
        if session is None:
            is_daily = self.parameters.bar_seconds == SECONDS_A_DAY
            session = self.context.session(symbol) if is_daily else TradingSession.REGULAR
        return OrderTerms(
            account=self.context.account,
            symbol=symbol,
            side=side,
            quantity=quantity,
            type=_TYPES[limit is not None, is_stop],
            limit_price=limit,
            trigger_price=trigger,
            product=self.parameters.product,
            validity=validity,
            strategy=self.context.strategy,
            algo_id=self.parameters.algo_id,
            session=session,
        )

    # --- deprecated names, to be removed in 0.2.0 ----------------------------------------------------

    @property
    def floor(self) -> StrategyContext:
        """Return `context`. Deprecated."""
        _deprecated("Strategy.floor", "context")
        return self.context

    @classmethod
    def carry_over(cls, state: State, before: P, now: P) -> State:
        """Return the default of `migrate_state`. Deprecated; a subclass that overrides it is still asked."""
        return state if before == now else {}


def _exits(
    stop_loss: Decimal | None,
    target: Decimal | None,
    trail: Decimal | None,
    expires_on: date | None,
    *,
    reduce_only: bool,
) -> ExitRequest | None:
    """Return the exits to link to an order; None if there are none."""
    if reduce_only or (stop_loss is None and trail is None):
        of_bracket = None if stop_loss is None else ExitPrices(stop_loss)
        request = ExitRequest(target, trail, stop_loss=of_bracket, expires_on=expires_on)
        return None if request == ExitRequest() else request
    return ExitRequest(target, stop_loss=ExitPrices(stop_loss, trail_amount=trail), expires_on=expires_on)


_TYPES = {
    (False, False): OrderType.MARKET,
    (True, False): OrderType.LIMIT,
    (False, True): OrderType.STOP,
    (True, True): OrderType.STOP_LIMIT,
}


def __getattr__(name: str) -> Any:
    if name == "Floor":
        _deprecated("Floor", "StrategyContext")
        return StrategyContext
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _deprecated(old: str, new: str) -> None:
    message = f"{old} is deprecated and will be removed in 0.2.0: use {new}"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
