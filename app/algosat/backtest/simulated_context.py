"""The context of a back-tested strategy: the gate checks its orders against the ledger in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from itertools import count
from typing import Any

from algosat.backtest.execution import Execution
from algosat.backtest.limits import UNLIMITED
from algosat.backtest.simulated_exits import SimulatedExits
from algosat.backtest.simulated_ledger import SimulatedLedger
from algosat.domain import reduce_only, slicing
from algosat.domain.calendar import Calendar, next_opening
from algosat.domain.closing import ClosingStep, exit_terms, next_step
from algosat.domain.decimals import ZERO
from algosat.domain.gtt import MOST_ACTIVE, GttOrder, GttRequest, GttState, gtt_order
from algosat.domain.instruments import Instrument, InstrumentKind, Quote
from algosat.domain.linked_requests import ExitRequest, LinkedMarket, prepared
from algosat.domain.market_phases import Phase, has_ended, takes
from algosat.domain.orders import (
    EventKind,
    ModifyRequest,
    Order,
    OrderChange,
    OrderEvent,
    OrderTerms,
    OrderType,
    Product,
    Status,
    TradingSession,
    Validity,
    create,
    may_happen,
    modification,
)
from algosat.domain.pnl_exits import PnlExit
from algosat.domain.risk import Denial, DenialCode, ExposureLine, RiskScope, RiskSnapshot, gate
from algosat.domain.risk.limits import Limits
from algosat.domain.target_position import steps_to
from algosat.errors import CalendarUnknown, Conflict, IllegalTransition, InvalidBody, NotFound
from algosat.exchange.listings import Listing
from algosat.strategies.base import closing_of, opening_of, session_of
from algosat.strategies.strategy_events import StrategyEvent

_SECOND = timedelta(seconds=1)


class SimulatedContext:
    """The `Driver` of a back-test. Its clock is the time of the recording."""

    def __init__(
        self,
        ledger: SimulatedLedger,
        exchange: Execution,
        listings: Mapping[str, Listing],
        calendar: Calendar,
        limits: Limits,
        square_off_before_close: timedelta,
        flattens_on_daily_loss: bool = False,
    ) -> None:
        self.account = ledger.account
        self.strategy = ledger.strategy
        self.now = datetime.min.replace(tzinfo=UTC)
        self.quotes: dict[str, Quote] = {}
        self.denied: dict[str, int] = {}  # number of denials, by code
        self._ledger = ledger
        self._exchange = exchange
        self._listings = listings
        self._calendar = calendar
        self._limits = limits
        self._square_off = square_off_before_close
        self._linked = SimulatedExits(ledger, self, self._takes_stops, self.zone)
        self._numbers = count(1)
        self._placed: list[datetime] = []  # times of today's orders
        self._day: date | None = None
        self._baseline = ZERO  # net P&L at the start of the day
        self._halts: tuple[str, ...] = ()  # today's; trading is assumed to resume on the next day
        self._flattens = False  # the halt closes positions; trading resumes once nothing is held
        self._flattens_on_daily_loss = flattens_on_daily_loss
        self._pnl_exit: PnlExit | None = None
        self._gtts: dict[str, GttOrder] = {}  # waiting ones, oldest first
        self._ended_gtts: dict[str, GttOrder] = {}
        self._kept: list[str] = []  # after-market orders, by id
        self._cancelled: list[Order] = []  # not delivered to the strategy yet

    # --- events --------------------------------------------------------------------------------------

    def begin(self, event: StrategyEvent) -> None:
        """Set the clock to the event."""
        self.now = event.at

    def end(self, event: StrategyEvent, state: Mapping[str, Any]) -> None:
        """Store nothing: a back-test has no checkpoint."""

    # --- market, position and orders -----------------------------------------------------------------

    def instrument(self, symbol: str) -> Instrument:
        if symbol not in self._listings:
            raise NotFound(f"no instrument {symbol!r} is known")
        return self._listings[symbol].instrument

    def quote(self, symbol: str) -> Quote | None:
        return self.quotes.get(symbol)

    @property
    def zone(self) -> tzinfo:
        return self._calendar.zone

    def opens_at(self, symbol: str, at: datetime) -> datetime | None:
        return opening_of(self._calendar, self.instrument(symbol), at)

    def closes_at(self, symbol: str, at: datetime) -> datetime | None:
        return closing_of(self._calendar, self.instrument(symbol), at)

    def session(self, symbol: str) -> TradingSession:
        return session_of(self._calendar, self.instrument(symbol), self.now)

    def position(self, symbol: str) -> Decimal:
        return self._ledger.position(symbol).quantity

    def working(self) -> Sequence[Order]:
        return tuple(self._ledger.working.values())

    # --- orders --------------------------------------------------------------------------------------

    def place(self, terms: OrderTerms, exits: ExitRequest | None = None) -> Order:
        if exits is not None:
            return self._place_linked(terms, exits)
        terms, denial = gate.judge(terms, self._snapshot(terms))
        return self._store(terms, denial)

    def _place_linked(self, terms: OrderTerms, exits: ExitRequest) -> Order:
        listing, quote = self._listings.get(terms.symbol), self.quotes.get(terms.symbol)
        if listing is None or quote is None:
            return self.place(terms)  # the gate denies it
        try:
            market = LinkedMarket(listing.instrument, quote, self.zone)
            terms, prices = prepared(terms, exits, market, self.now)
        except InvalidBody as error:
            return self._store(terms, Denial(DenialCode.INVALID_TERMS, error.detail))
        order = self.place(terms)
        if order.status is not Status.DENIED:
            self._linked.add(order, prices, exits.expires_on)
        return order

    def _store(self, terms: OrderTerms, denial: Denial | None, *, at_once: bool = False) -> Order:
        order = create(f"a{next(self._numbers):017d}", terms, self.now)
        if denial is not None:
            self._count_denial(denial.code)
            self._ledger.keep(order)
            event = OrderEvent(EventKind.DENIED, self.now, code=denial.code, reason=denial.detail)
            return self._ledger.record(order, event)
        if terms.send_at is not None:
            self._kept.append(order.id)
        elif not at_once:
            self._submit(order)
        return self._ledger.keep(order)

    def send_kept(self, symbol: str) -> list[Order]:
        """Check again, and send, the symbol's after-market orders that are due at its quote.

        Returns the orders that are rejected. Orders whose market has not opened yet keep waiting.
        """
        if not self._kept:
            return []
        kept, self._kept = self._kept, []
        outcomes = (self._send_kept(self._ledger.orders[order_id], symbol) for order_id in kept)
        return [order for order in outcomes if order is not None]

    def _send_kept(self, order: Order, symbol: str) -> Order | None:
        """Send or keep one after-market order; return it if it is rejected."""
        if not order.is_working:
            return None
        terms = order.terms.as_regular()
        if terms.symbol != symbol or order.waits(self.now):
            self._kept.append(order.id)
            return None
        terms, denial = gate.judge(terms, self._snapshot(terms, without=order.id))
        if denial is None:
            change = OrderChange(terms.quantity, **terms.prices)
            self._submit(self._ledger.record(order, OrderEvent(EventKind.MODIFIED, self.now, change=change)))
            return None
        if denial.code is DenialCode.MARKET_CLOSED:
            self._kept.append(order.id)
            return None
        self._count_denial(denial.code)
        rejected = OrderEvent(EventKind.REJECTED, self.now, code=denial.code, reason=denial.detail)
        return self._ledger.record(order, rejected)

    def _submit(self, order: Order) -> None:
        self._placed.append(self.now)
        self._exchange.submit(order)

    def cancel(self, order_id: str) -> Order:
        return self.cancel_exit(self._linked.end_with(order_id) or order_id)

    def place_exit(self, terms: OrderTerms, *, at_once: bool = False) -> Order:
        """Place a stop or target of a linked exit, at the present quote or with the next one."""
        terms, denial = gate.judge(terms, self._snapshot(terms))
        order = self._store(terms, denial, at_once=at_once)
        if at_once and denial is None:
            for report in self._exchange.place_at_once(order, self.now):
                order = self._ledger.apply_report(report) or order
        return order

    def cancel_exit(self, order_id: str) -> Order:
        """Cancel an order; its linked exit continues."""
        order = self._ledger.orders[order_id]
        if not order.is_working:
            return order
        for report in self._exchange.cancel(order, self.now):
            order = self._ledger.apply_report(report) or order
        if order.status is Status.CREATED:
            event = OrderEvent(EventKind.CANCELLED, self.now, reason="cancelled before it was sent")
            order = self._ledger.record(order, event)
        self._cancelled.append(order)
        return order

    def modify(self, order_id: str, request: ModifyRequest) -> Order:
        order = self._ledger.orders[order_id]
        change = request.of(order.terms)
        try:
            modification.require_changeable(order, change, self.now)
        except (IllegalTransition, Conflict):
            return order
        remaining = modification.remaining_terms(order, change)
        outcome = modification.judge(remaining, change, self._snapshot(remaining, without=order_id))
        if isinstance(outcome, Denial):
            self._count_denial(outcome.code)
            return order
        if order.status is Status.CREATED:  # an after-market order that is kept here
            return self._ledger.record(order, OrderEvent(EventKind.MODIFIED, self.now, change=outcome))
        self._exchange.modify(order, outcome)
        return self._ledger.record(order, OrderEvent(EventKind.MODIFY_REQUESTED, self.now, change=outcome))

    def close(self, symbol: str) -> Sequence[Order]:
        position = self.position(symbol)
        if not position:
            return []
        for order in self._closing_step(symbol, position).in_the_way:
            self.cancel(order.id)
        to_send = self._closing_step(symbol, position).to_send
        if not to_send:
            return []
        terms = exit_terms(
            account=self.account,
            strategy=self.strategy,
            symbol=symbol,
            product=self._ledger.product,
            position=position,
            quantity=to_send,
        )
        return [
            self.place(replace(terms, quantity=piece, session=self.session(symbol)))
            for piece in slicing.slices(to_send, self.instrument(symbol))
        ]

    def reach(self, terms: OrderTerms) -> Sequence[Order]:
        working = [order for order in self.working() if order.terms.symbol == terms.symbol]
        try:
            steps = steps_to(terms.quantity, self.position(terms.symbol), working)
        except Conflict:
            return ()
        orders: list[Order] = []
        for step in steps:
            leg = replace(terms, side=step.side, reduce_only=step.reduce_only)
            pieces = slicing.slices(step.quantity, self.instrument(terms.symbol))
            orders += [self.place(replace(leg, quantity=piece)) for piece in pieces]
            if orders[-1].status is Status.DENIED:
                break  # the entry is placed only if the exit before it was
        return orders

    def place_gtt(self, request: GttRequest) -> GttOrder | None:
        listing, quote = self._listings.get(request.terms.symbol), self.quotes.get(request.terms.symbol)
        instrument = None if listing is None else listing.instrument
        try:
            gtt_id = f"g{next(self._numbers):017d}"
            new = gtt_order(gtt_id, request, instrument, quote, self.now, zone=self.zone)
        except InvalidBody:
            self._count_denial(DenialCode.INVALID_TERMS)
            return None
        if len(self._gtts) >= MOST_ACTIVE:
            return None
        self._gtts[new.id] = new
        return new

    def gtts(self) -> Sequence[GttOrder]:
        return tuple(self._gtts.values())

    def cancel_gtt(self, gtt_id: str) -> GttOrder:
        found = self._gtts.pop(gtt_id, None)
        if found is None:
            return self._ended_gtts[gtt_id]
        return self._end_gtt(found, GttState.CANCELLED)

    def _end_gtt(self, of: GttOrder, state: GttState, order_id: str | None = None) -> GttOrder:
        ended = replace(of, state=state, order_id=order_id, updated_at=self.now, version=of.version + 1)
        self._gtts.pop(of.id, None)
        self._ended_gtts[of.id] = ended
        return ended

    def _count_denial(self, code: DenialCode) -> None:
        self.denied[code] = self.denied.get(code, 0) + 1

    def set_pnl_exit(self, profit_target: Decimal | None, loss_limit: Decimal | None) -> PnlExit | None:
        self._pnl_exit = None
        if profit_target is not None or loss_limit is not None:
            by = f"strategy:{self.strategy}"
            self._pnl_exit = PnlExit(
                self.account, self.strategy, profit_target, loss_limit, set_at=self.now, set_by=by
            )
        return self._pnl_exit

    def _closing_step(self, symbol: str, position: Decimal) -> ClosingStep:
        """Return the orders in the way of a close (not its own market exits), and the quantity to send."""
        working = [order for order in self.working() if order.terms.symbol == symbol]
        own = {
            order.id for order in working if order.terms.reduce_only and order.terms.type is OrderType.MARKET
        }
        return next_step(position, abs(position), working, own, spare=frozenset())

    def fail_change(self, order_id: str) -> Order | None:
        """Record that the exchange refused a change. Returns None if the order has ended meanwhile."""
        order = self._ledger.orders[order_id]
        if not may_happen(order, EventKind.MODIFY_FAILED):
            return None
        event = OrderEvent(EventKind.MODIFY_FAILED, self.now, reason="the exchange refused the change")
        return self._ledger.record(order, event)

    def take_cancelled(self) -> list[Order]:
        """Return the orders that were cancelled since the last call."""
        cancelled, self._cancelled = self._cancelled, []
        return cancelled

    # --- duties of the engine ------------------------------------------------------------------------

    def enter_day(self, day: date) -> None:
        """Reset the day's orders, halts and P&L baseline if the trading day is a new one."""
        if day == self._day:
            return
        self._day, self._placed = day, []
        self._baseline = self._ledger.net_pnl(self.quotes)
        if not self._flattens or not any(each.quantity for each in self._ledger.positions.values()):
            self._halts, self._flattens = (), False

    def cancel_oversized_exits(self) -> None:
        """Cancel reduce-only orders that have become larger than their position, as the engine does."""
        reducing = filter(reduce_only.is_exit, self.working())
        for order in list(reduce_only.oversized(reducing, self._ledger.positions.values())):
            self.cancel_exit(order.id)

    def advance_exits(self, quote: Quote) -> list[Order]:
        """Advance the linked exits of the quote's symbol. Returns the orders that changed at once."""
        if self._linked.is_empty:
            return []
        return self._linked.advance(quote, self.instrument(quote.symbol).tick, self.now)

    def trigger_gtts(self, quote: Quote) -> list[Order]:
        """Place the orders whose trigger price the quote reaches in continuous trading."""
        if not self._gtts:
            return []
        placed = []
        for each in [each for each in self._gtts.values() if each.terms.symbol == quote.symbol]:
            terms = each.reached(quote)
            if each.is_expired(self.now):
                self._end_gtt(each, GttState.EXPIRED)
            elif terms is not None and self._is_continuous(quote.symbol):
                order = self.place(terms, each.exits)
                self._end_gtt(each, GttState.TRIGGERED, order.id)
                placed.append(order)
        return placed

    def check_daily_pnl(self) -> None:
        """Halt if the day's loss has reached its limit, or the day's result an amount of the P&L exit."""
        if (self._limits is UNLIMITED and self._pnl_exit is None) or self._halts:
            return
        result = self._ledger.net_pnl(self.quotes) - self._baseline
        if self._limits is not UNLIMITED and -result >= self._limits.max_daily_loss:
            reason = f"lost {-result:.2f} today; the limit is {self._limits.max_daily_loss}"
            self._halt(reason, flattens=self._flattens_on_daily_loss)
        outcome = None if self._pnl_exit is None else self._pnl_exit.reached_by(result)
        if self._pnl_exit is not None and outcome is not None:
            self._halt(self._pnl_exit.reason(outcome, result), flattens=True)

    def _halt(self, reason: str, *, flattens: bool) -> None:
        """Deny entries from now on, cancel the working orders, and close the positions if asked."""
        self._halts = (*self._halts, reason)
        self._flattens = self._flattens or flattens
        for order in self.working():
            self.cancel(order.id)
        for symbol in list(self._ledger.positions):
            self.flatten_halted(symbol)

    def flatten_halted(self, symbol: str) -> None:
        """Close a position under a halt that closes positions, as soon as its market trades."""
        if self._flattens and self.position(symbol) and self._is_continuous(symbol):
            self.close(symbol)

    def square_off(self, symbol: str) -> None:
        """Close an intraday position shortly before the market closes, as the engine does."""
        if self._ledger.product is not Product.INTRADAY or not self._is_closing(symbol):
            return
        for order in [order for order in self.working() if order.terms.symbol == symbol]:
            if not order.terms.reduce_only:
                self.cancel(order.id)
        self.close(symbol)

    def _takes_stops(self, symbol: str) -> bool:
        return takes(self._phase(symbol), OrderType.STOP, Validity.DAY)

    def _is_continuous(self, symbol: str) -> bool:
        return self._phase(symbol) is Phase.CONTINUOUS

    def _phase(self, symbol: str) -> Phase:
        instrument = self.instrument(symbol)
        return self._calendar.phase(instrument.segment, instrument.has_derivatives, self.now)

    def _is_closing(self, symbol: str) -> bool:
        instrument = self.instrument(symbol)
        closes_at = self._calendar.closes_at(instrument.segment, instrument.has_derivatives, self.now)
        return closes_at is not None and closes_at - self._square_off <= self.now < closes_at

    # --- risk snapshot -------------------------------------------------------------------------------

    def _snapshot(self, terms: OrderTerms, *, without: str | None = None) -> RiskSnapshot | Denial:
        listing, quote = self._listings.get(terms.symbol), self.quotes.get(terms.symbol)
        if listing is None:
            return Denial(DenialCode.UNKNOWN_SYMBOL, f"no instrument {terms.symbol!r} is known")
        if quote is None:
            return Denial(DenialCode.NO_QUOTE, f"there is no price of {terms.symbol}")
        instrument = listing.instrument
        market = (instrument.segment, listing.has_derivatives, self.now)
        try:
            phase, day = self._calendar.phase(*market), self._calendar.trading_day(self.now)
            closes_at = self._calendar.closes_at(*market)
            last_trading = self._calendar.last_trading(*market)
        except CalendarUnknown as error:
            return Denial(DenialCode.CALENDAR_UNKNOWN, error.detail)
        lines = self._lines(without)
        return RiskSnapshot(
            at=self.now,
            instrument=instrument,
            quote=quote,
            phase=phase,
            last_trading=last_trading,
            opens_at=next_opening(self._calendar, instrument, terms, self.now) if has_ended(phase) else None,
            trading_day=day,
            square_off_at=closes_at - self._square_off if closes_at else None,
            halts=self._halts,
            position=self._position_line(terms, lines, instrument, quote),
            scopes=(self._scope(lines),),
            available=self._ledger.funds(lines).available,
            is_repeat=False,
            zone=self.zone,
        )

    def _scope(self, lines: tuple[ExposureLine, ...]) -> RiskScope:
        return RiskScope(
            name="the account",
            limits=self._limits,
            lines=lines,
            working_orders=len(self._ledger.working),
            orders_last_second=sum(at > self.now - _SECOND for at in self._placed),
            orders_today=len(self._placed),
            day_result=self._ledger.net_pnl(self.quotes) - self._baseline,
        )

    def _position_line(
        self, terms: OrderTerms, lines: tuple[ExposureLine, ...], instrument: Instrument, quote: Quote
    ) -> ExposureLine:
        for line in lines:
            if line.symbol == terms.symbol:
                return line
        return ExposureLine(
            self.strategy, terms.symbol, terms.product, instrument.kind, last=quote.last, price=quote.last
        )

    def _lines(self, without: str | None = None) -> tuple[ExposureLine, ...]:
        return self._ledger.lines(self._kind_of, self.quotes, without=without)

    def _kind_of(self, symbol: str) -> InstrumentKind:
        return self._listings[symbol].instrument.kind
