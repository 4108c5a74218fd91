"""Linked exits: a stop that rests at the broker, with the target or trail that the engine manages for it.

A linked exit is an OCO pair, the exits of a bracket, or a trailing stop. Only the stop rests at the broker.
When the price reaches the target, the stop is cancelled, and the target is sent only after the broker has
confirmed the cancel, for exactly the quantity that is left: two exits are never filled for one position. The
target is an immediate-or-cancel order, so that the position is without a stop as briefly as possible; any
unfilled quantity gets a stop again at once.

`decide` is a pure function. From a linked exit and the facts about its orders, position and market it returns
the next action, and it needs no memory of earlier calls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Final

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Quote
from algosat.domain.orders import (
    Order,
    OrderTerms,
    OrderType,
    PendingRequest,
    Product,
    Side,
    Status,
    Validity,
)
from algosat.domain.reason_codes import EngineCode

# Brokers accept 25 modifications of one order (Kite). Then the trailing stop is cancelled and placed again.
MOST_CHANGES: Final = 20
# A trailing stop moves by at least this share of its distance, so that it uses up few modifications.
_TRAIL_STEP: Final = Decimal("0.1")
# Between changes of a stop: for new fills of the entry, and by the trail. A refused change waits as long.
_GROW_EVERY: Final = timedelta(seconds=1)
_TRAIL_EVERY: Final = timedelta(seconds=5)
_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 10, 20, 40, 60))
_LONGEST_SENDING: Final = timedelta(seconds=10)  # of a target, before the position counts as unprotected
_LONGEST_EXIT: Final = timedelta(seconds=30)  # of a triggered stop, before a person has to know
_TRIGGERED: Final = frozenset({Status.OPEN, Status.PARTIALLY_FILLED})
_LATE_FILLS: Final = timedelta(seconds=60)  # how long fills of a cancelled entry are waited for
_PER_CENT: Final = Decimal(100)


class ExitState(StrEnum):
    WAITING = "waiting"  # for the first fill of the bracket's entry
    PROTECTED = "protected"  # the stop works, or is being sent
    CANCELLING = "cancelling"  # the broker is asked to cancel the stop
    TAKING_PROFIT = "taking_profit"  # the target is sent
    UNPROTECTED = "unprotected"  # the stop was denied, or the market takes none now; it is placed again
    ENDED = "ended"


class LinkedRole(StrEnum):
    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"


class ExitOutcome(StrEnum):
    """Why a linked exit has ended."""

    STOPPED = "stopped"
    TARGET_FILLED = "target_filled"
    CANCELLED = "cancelled"  # one of its orders was cancelled here: by a person, a close or a halt
    POSITION_CLOSED = "position_closed"  # nothing is left that other orders do not close
    ENTRY_NOT_FILLED = "entry_not_filled"
    STOP_REJECTED = "stop_rejected"  # the first stop of an OCO pair or trailing stop
    DAY_ENDED = "day_ended"


@dataclass(frozen=True, slots=True)
class ExitPrices:
    """The prices of a linked exit. A trailing stop has one of the trails."""

    trigger_price: Decimal | None = None  # None: the stop starts at the trail's distance from the market
    limit_price: Decimal | None = None  # makes the stop a stop-limit order
    target_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None

    @property
    def is_trailing(self) -> bool:
        return self.trail_amount is not None or self.trail_percent is not None

    def distance(self, price: Decimal) -> Decimal | None:
        """Return the distance of the trailing stop at this price; None if the stop does not trail."""
        if self.trail_amount is not None:
            return self.trail_amount
        return None if self.trail_percent is None else price * self.trail_percent / _PER_CENT


@dataclass(frozen=True, slots=True)
class LinkedExit:
    id: str
    account: str
    strategy: str | None
    symbol: str
    product: Product
    algo_id: str | None
    side: Side  # of the stop and the target
    prices: ExitPrices
    quantity: Decimal  # to exit by this linked exit in all; a bracket's grows as its entry is filled
    created_at: datetime
    updated_at: datetime
    state: ExitState = ExitState.WAITING
    entered: Decimal = ZERO  # quantity of the entry that `quantity` includes
    entry_id: str | None = None  # only a bracket has an entry
    order_id: str | None = None  # the stop or target placed last
    changes: int = 0  # modifications of the present stop by the trail
    attempts: int = 0  # attempts in a row that did not end as planned
    next_at: datetime | None = None  # earliest time of the next attempt
    outcome: ExitOutcome | None = None
    version: int = 1
    expires_at: datetime | None = None  # until then the stop is placed again each day; None: it is not

    @property
    def is_active(self) -> bool:
        return self.state is not ExitState.ENDED

    @property
    def expires_on(self) -> date | None:
        """The last day on which the stop is placed again; it ends at midnight, exchange time or UTC."""
        if self.expires_at is None:
            return None
        return _exchange_date(self.expires_at - timedelta(days=1))

    def stop_terms(self, quantity: Decimal) -> OrderTerms:
        """Return the stop order for this quantity."""
        kind = OrderType.STOP if self.prices.limit_price is None else OrderType.STOP_LIMIT
        return self._terms(quantity, kind, self.prices.limit_price, trigger=self.prices.trigger_price)

    def triggered_terms(self, quantity: Decimal) -> OrderTerms:
        """Return the limit or market order that replaces the stop once the market is beyond its trigger."""
        kind = OrderType.MARKET if self.prices.limit_price is None else OrderType.LIMIT
        return self._terms(quantity, kind, self.prices.limit_price)

    def target_terms(self, quantity: Decimal) -> OrderTerms:
        """Return the target: a limit order, immediate or cancel."""
        terms = self._terms(quantity, OrderType.LIMIT, self.prices.target_price)
        return replace(terms, validity=Validity.IOC)

    def _terms(
        self, quantity: Decimal, kind: OrderType, limit: Decimal | None, *, trigger: Decimal | None = None
    ) -> OrderTerms:
        return OrderTerms(
            account=self.account,
            symbol=self.symbol,
            side=self.side,
            quantity=quantity,
            type=kind,
            limit_price=limit,
            trigger_price=trigger,
            product=self.product,
            reduce_only=True,
            strategy=self.strategy,
            algo_id=self.algo_id,
        )


@dataclass(frozen=True, slots=True)
class ExitFacts:
    """What is known about a linked exit at one moment."""

    at: datetime
    order: Order | None  # the stop or target placed last
    entry: Order | None
    exited: Decimal  # filled quantity of all its stops and targets
    left: Decimal  # quantity of the position that no order outside this linked exit closes
    quote: Quote | None  # None if there is none or it is stale
    tick: Decimal
    takes_stops: bool  # the market phase accepts stop orders now, and no close of a part waits for a cancel
    is_closing: bool = False  # a close of the whole position is under way
    zone: tzinfo = EXCHANGE_TIME  # of the venue's days


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing now."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait without a stop: the market phase takes none."""


@dataclass(frozen=True, slots=True)
class PlaceStop:
    quantity: Decimal
    is_retry: bool = False  # the last attempt did not end as planned: delay the one after this


@dataclass(frozen=True, slots=True)
class PlaceTarget:
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class CancelStop:
    """Ask for the cancel of the stop, to send the target or to place the stop with a new trigger."""

    trigger_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ModifyStop:
    quantity: Decimal | None = None  # of the whole order
    trigger_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class KeepStop:
    """Return to the stop, whose cancel was refused."""


@dataclass(frozen=True, slots=True)
class CancelEntry:
    """Cancel what is left of the entry, since an exit has been filled."""


@dataclass(frozen=True, slots=True)
class End:
    outcome: ExitOutcome


Action = Wait | Hold | PlaceStop | PlaceTarget | CancelStop | ModifyStop | KeepStop | CancelEntry | End


def adopted(of: LinkedExit, facts: ExitFacts) -> LinkedExit:
    """Return the linked exit updated from its orders: changed prices or quantity, new entry fills."""
    order, entry = facts.order, facts.entry
    if of.state is ExitState.PROTECTED and order is not None and _rests(order):
        terms = order.terms
        if of.prices.trigger_price != terms.trigger_price or of.prices.limit_price != terms.limit_price:
            prices = replace(of.prices, trigger_price=terms.trigger_price, limit_price=terms.limit_price)
            of = replace(of, prices=prices)
        if entry is None and of.quantity != facts.exited + order.remaining_quantity:
            of = replace(of, quantity=facts.exited + order.remaining_quantity)
        if of.attempts and _may_try(of, facts) and not is_target_reached(of, facts.quote):
            of = replace(of, attempts=0, next_at=None)
    if entry is not None and entry.filled_quantity > of.entered:
        added = entry.filled_quantity - of.entered
        of = replace(of, quantity=of.quantity + added, entered=entry.filled_quantity)
    return of


def decide(of: LinkedExit, facts: ExitFacts) -> Action:
    """Return the next action for a linked exit as `adopted` returns it."""
    entry = facts.entry
    if (
        entry is not None
        and facts.exited > 0
        and entry.is_working
        and entry.pending is not PendingRequest.PENDING_CANCEL
        and not _was_just_refused(entry, facts)
    ):
        return CancelEntry()
    match of.state:
        case ExitState.WAITING:
            return _while_waiting(of, facts)
        case ExitState.PROTECTED:
            return _while_protected(of, facts)
        case ExitState.CANCELLING:
            return _while_cancelling(of, facts)
        case ExitState.TAKING_PROFIT:
            return _while_taking_profit(of, facts)
        case ExitState.UNPROTECTED:
            return _while_unprotected(of, facts)
        case ExitState.ENDED:
            return Wait()


def is_unprotected(of: LinkedExit, facts: ExitFacts) -> bool:
    """Return whether to alert a person: the position has no stop, or its triggered stop is not filled."""
    if not of.is_active or of.state is ExitState.WAITING or _wanted(of, facts) <= 0:
        return False
    if of.state is ExitState.TAKING_PROFIT:
        return abs(facts.at - of.updated_at) > _LONGEST_SENDING
    order = facts.order
    if order is not None and order.is_working:
        # Triggered, but the price has passed its limit: it rests unfilled.
        return order.status in _TRIGGERED and abs(facts.at - order.updated_at) > _LONGEST_EXIT
    return of.attempts > 0 and facts.takes_stops


def next_attempt(of: LinkedExit, at: datetime) -> LinkedExit:
    """Return the linked exit with the delay before its next attempt; the delays grow."""
    delay = _DELAYS[min(of.attempts, len(_DELAYS) - 1)]
    return replace(of, attempts=of.attempts + 1, next_at=at + delay)


def is_target_reached(of: LinkedExit, quote: Quote | None) -> bool:
    """Return whether the target could be filled now: by the bid or ask, or the last price without depth."""
    target = of.prices.target_price
    if target is None or quote is None:
        return False
    if of.side is Side.SELL:
        return (quote.bid if quote.bid > 0 else quote.last) >= target
    return (quote.ask if quote.ask > 0 else quote.last) <= target


def first_trigger(prices: ExitPrices, side: Side, last: Decimal, tick: Decimal) -> Decimal | None:
    """Return the initial trigger price: the given one, or one at the trail's distance from the last price."""
    distance = prices.distance(last)
    if prices.trigger_price is not None or distance is None:
        return prices.trigger_price
    return _at_distance(last, distance, side, tick)


def with_trigger(prices: ExitPrices, trigger: Decimal) -> ExitPrices:
    """Return the prices with another trigger; a stop-limit's limit keeps its distance from it."""
    moved = ZERO if prices.trigger_price is None else trigger - prices.trigger_price
    limit = None if prices.limit_price is None else prices.limit_price + moved
    return replace(prices, trigger_price=trigger, limit_price=limit)


def trailed(of: LinkedExit, quote: Quote | None, tick: Decimal) -> Decimal | None:
    """Return the tighter trigger price to set; None if the trigger stays where it is."""
    trigger = of.prices.trigger_price
    distance = None if quote is None else of.prices.distance(quote.last)
    if quote is None or distance is None or trigger is None:
        return None
    wanted = _at_distance(quote.last, distance, of.side, tick)
    gain = (trigger - wanted) * of.side.sign
    return wanted if gain >= max(tick, distance * _TRAIL_STEP) else None


def problem_of(
    prices: ExitPrices, side: Side, reference: Decimal, *, tick: Decimal, stop: str = ""
) -> tuple[str, str] | None:
    """Return the first field that contradicts the others, and why; None if all fit together.

    Args:
        prices: Of the linked exit, its trigger price set.
        side: Of the exit.
        reference: The price of the position: the last price, or the price at which the entry is to trade.
        tick: Of the instrument.
        stop: Prefix of the stop's fields in the request.
    """
    trigger, limit, target = prices.trigger_price, prices.limit_price, prices.target_price
    if prices.trail_amount is not None and prices.trail_percent is not None:
        return f"{stop}trail_percent", "give trail_amount or trail_percent, not both"
    if prices.trail_percent is not None and prices.trail_percent >= _PER_CENT:
        return f"{stop}trail_percent", "must be less than 100"
    distance = prices.distance(reference)
    if distance is not None and not tick <= distance < reference:
        field = "trail_amount" if prices.trail_amount is not None else "trail_percent"
        return (
            f"{stop}{field}",
            f"is {distance} from the price; it must be at least the tick {tick}, and less than {reference}",
        )
    if trigger is None:
        return f"{stop}trigger_price", "is needed unless the stop trails"
    worse, better = ("below", "above") if side is Side.SELL else ("above", "below")
    if (trigger - reference) * side.sign <= 0:
        return f"{stop}trigger_price", f"{trigger} must be {worse} the price {reference}"
    if limit is not None and (limit - trigger) * side.sign < 0:
        return f"{stop}limit_price", f"{limit} must be at or {worse} the trigger price {trigger}"
    if target is not None and (target - reference) * side.sign >= 0:
        return "target_price", f"{target} must be {better} the price {reference}"
    return None


# --- one function for each state ------------------------------------------------------------------


def _while_waiting(of: LinkedExit, facts: ExitFacts) -> Action:
    if _wanted(of, facts) > 0:
        return _protect(of, facts)
    if facts.entry is None or _can_fill_no_more(facts.entry, facts):
        return End(ExitOutcome.ENTRY_NOT_FILLED)
    return Wait()


def _can_fill_no_more(entry: Order, facts: ExitFacts) -> bool:
    """Return whether the entry has ended; after a cancel, a fill may still be reported for a while."""
    if entry.is_working:
        return False
    is_cancelled = entry.status is Status.CANCELLED and entry.broker_order_id is not None
    return not is_cancelled or abs(facts.at - entry.updated_at) >= _LATE_FILLS


def _while_protected(of: LinkedExit, facts: ExitFacts) -> Action:
    order = facts.order
    if order is None:
        return _protect(of, facts)
    if order.is_working:
        return _improve(of, facts, order) if _rests(order) and _may_try(of, facts) else Wait()
    if _wanted(of, facts) <= 0:
        return _finish(facts, ExitOutcome.STOPPED)
    if order.status is Status.EXPIRED:
        return _on_the_next_day(of, facts)
    if order.status is Status.REJECTED and of.entry_id is None and not facts.exited and of.version == 1:
        return End(ExitOutcome.STOP_REJECTED)
    # Its stop is larger than what is left of the position, or it was cancelled or rejected at the broker.
    return _protect(of, facts, is_retry=True) if _may_try(of, facts) else Wait()


def _improve(of: LinkedExit, facts: ExitFacts, stop: Order) -> Action:
    """Return how to modify the stop that rests at the broker; None if it stays as it is."""
    wanted = min(_wanted(of, facts), facts.left)
    age = abs(facts.at - stop.updated_at)
    if not facts.takes_stops or facts.is_closing:
        return Wait()
    if of.entry_id is not None and wanted > stop.remaining_quantity:
        return ModifyStop(quantity=stop.filled_quantity + wanted) if age >= _GROW_EVERY else Wait()
    if is_target_reached(of, facts.quote):
        return CancelStop()
    trigger = trailed(of, facts.quote, facts.tick)
    if trigger is None or age < _TRAIL_EVERY:
        return Wait()
    return CancelStop(trigger) if of.changes >= MOST_CHANGES else ModifyStop(trigger_price=trigger)


def _while_cancelling(of: LinkedExit, facts: ExitFacts) -> Action:
    order = facts.order
    if order is not None and order.is_working:
        return Wait() if order.pending is PendingRequest.PENDING_CANCEL else KeepStop()
    if _wanted(of, facts) <= 0:
        return _finish(facts, ExitOutcome.STOPPED)
    if order is not None and order.status is Status.EXPIRED:
        return _on_the_next_day(of, facts)
    quantity = min(_wanted(of, facts), facts.left)
    may_place = quantity > 0 and facts.takes_stops and not facts.is_closing
    if may_place and is_target_reached(of, facts.quote):
        return PlaceTarget(quantity)
    return _protect(of, facts)


def _while_taking_profit(of: LinkedExit, facts: ExitFacts) -> Action:
    if facts.order is not None and facts.order.is_working:
        return Wait()
    if _wanted(of, facts) <= 0:
        return _finish(facts, ExitOutcome.TARGET_FILLED)
    return _protect(of, facts, is_retry=True)


def _while_unprotected(of: LinkedExit, facts: ExitFacts) -> Action:
    if _wanted(of, facts) <= 0:
        return _finish(facts, ExitOutcome.STOPPED)
    if _has_ended(of, facts):
        return End(ExitOutcome.DAY_ENDED)
    return _protect(of, facts, is_retry=True) if _may_try(of, facts) else Wait()


def _has_ended(of: LinkedExit, facts: ExitFacts) -> bool:
    """Return whether the last day of a linked exit is over that waits without a stop.

    The exchange cancels stops when a closing auction begins. Exits of one day end with that day then, too. A
    stop that was denied is placed again, on whichever day.
    """
    if of.expires_at is not None:
        return facts.at >= of.expires_at
    since, today = (at.astimezone(facts.zone).date() for at in (of.updated_at, facts.at))
    return not of.attempts and since != today


def _on_the_next_day(of: LinkedExit, facts: ExitFacts) -> Action:
    """Return the action after the stop has expired: place it again, or end with the last day."""
    if of.expires_at is None or facts.at >= of.expires_at:
        return End(ExitOutcome.DAY_ENDED)
    return _protect(of, facts)


def _protect(of: LinkedExit, facts: ExitFacts, *, is_retry: bool = False) -> Action:
    """Return the action that places the stop, for the quantity that no other order closes."""
    quantity = min(_wanted(of, facts), facts.left)
    if quantity <= 0 and not facts.is_closing and facts.entry is not None and facts.entry.is_working:
        return Wait()  # the entry has only closed a position of the other side so far
    if quantity <= 0 or facts.is_closing:
        # Flat, or being closed: a close has precedence, and a stop would be in its way.
        return End(ExitOutcome.POSITION_CLOSED)
    if not facts.takes_stops:
        return Wait() if of.state is ExitState.UNPROTECTED else Hold()
    return PlaceStop(quantity, is_retry)


def _finish(facts: ExitFacts, outcome: ExitOutcome) -> Action:
    """End, unless the entry may still be filled."""
    return Wait() if facts.entry is not None and facts.entry.is_working else End(outcome)


def _wanted(of: LinkedExit, facts: ExitFacts) -> Decimal:
    return of.quantity - facts.exited


def _may_try(of: LinkedExit, facts: ExitFacts) -> bool:
    return of.next_at is None or facts.at >= of.next_at or of.next_at - facts.at > _DELAYS[-1]


def _was_just_refused(order: Order, facts: ExitFacts) -> bool:
    """Return whether the broker has just refused to cancel the order; if so, the next request is delayed."""
    return order.code == EngineCode.CANCEL_REFUSED and abs(facts.at - order.updated_at) < _DELAYS[0]


def _rests(order: Order) -> bool:
    """Return whether the order is a stop that waits at the broker, with no request under way."""
    return order.status is Status.TRIGGER_PENDING and order.pending is None


def _exchange_date(at: datetime) -> date:
    return at.astimezone(EXCHANGE_TIME).date()


def _at_distance(last: Decimal, distance: Decimal, side: Side, tick: Decimal) -> Decimal:
    rounding = ROUND_FLOOR if side is Side.SELL else ROUND_CEILING
    return ((last + side.sign * distance) / tick).to_integral_value(rounding) * tick
