"""Conversion of a position: the same quantity of the same symbol under another product."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from algosat.domain import margin
from algosat.domain.arming import Arming
from algosat.domain.book_comparison import BookFigures, item_of
from algosat.domain.closing import open_quantity
from algosat.domain.decimals import ZERO, to_text
from algosat.domain.instruments import InstrumentKind
from algosat.domain.market_phases import Phase
from algosat.domain.orders import Order, Product
from algosat.domain.reason_codes import Code


class ConversionState(StrEnum):
    """The progress of a conversion."""

    CREATED = "created"  # not sent yet
    SUBMITTING = "submitting"  # being sent
    UNKNOWN = "unknown"  # sent; the broker's positions show the outcome
    CONVERTED = "converted"
    REJECTED = "rejected"  # certainly not converted
    CANCELLED = "cancelled"  # before it was sent


SENT: Final = frozenset({ConversionState.SUBMITTING, ConversionState.UNKNOWN})


class ConversionCode(Code):
    """Why a position is not converted. A code that orders have too has the same meaning."""

    NOT_SUPPORTED = (
        "not_supported_by_broker",
        "The broker of the account does not convert positions, or not to that product.",
    )
    PRODUCT_NOT_ALLOWED = "product_not_allowed", "The instrument cannot be held under that product."
    UNKNOWN_SYMBOL = "unknown_symbol", "No instrument of this name is listed."
    NO_QUOTE = "no_quote", "There is no price to compute the margin with."
    MORE_THAN_HELD = "more_than_held", "The quantity is not held under the product to convert from."
    QUANTITY_IN_EXITS = (
        "quantity_in_exits",
        "Working orders or linked exits may reduce the position by part of the quantity. Cancel them first.",
    )
    BEING_CLOSED = "being_closed", "The position is being closed."
    CONVERSION_UNDER_WAY = (
        "conversion_under_way",
        "Another conversion of the instrument is under way. Wait for its outcome.",
    )
    OPPOSITE_HELD = (
        "opposite_held",
        "The other product holds a position on the opposite side. Close it first.",
    )
    SHORT_DELIVERY = "short_delivery", "A short position cannot be held as delivery."
    AFTER_SQUARE_OFF = "after_square_off", "Intraday positions are being closed; none can be opened."
    NEAR_DELIVERY = "near_delivery", "The contract is about to deliver shares and cannot be carried."
    ACCOUNT_NOT_ARMED = "account_not_armed", "The account is live and not armed. An admin arms it."
    HALTED = "halted", "Trading is halted. Resume trading first."
    CALENDAR_UNKNOWN = "calendar_unknown", "The trading calendar does not cover this moment. Extend it."
    MARKET_CLOSED = "market_closed", "Positions are converted in continuous trading only."
    INSUFFICIENT_FUNDS = (
        "insufficient_funds",
        "The margin that the other product needs exceeds the funds available.",
    )
    NOT_CONVERTED = "not_converted", "The broker's positions show that the position was not converted."
    SETTLED_BY_PERSON = "settled_by_person", "A person has decided the outcome from the broker's terminal."


@dataclass(frozen=True, slots=True)
class Conversion:
    """What to convert: a quantity of the position of one strategy ('': orders placed by hand)."""

    symbol: str
    strategy: str
    source: Product
    target: Product
    quantity: Decimal  # without sign; the side is that of the position


@dataclass(frozen=True, slots=True)
class ConversionRefusal:
    code: ConversionCode
    detail: str  # one sentence with figures


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionSnapshot:
    """The facts that decide whether a position can be converted."""

    is_supported: bool  # by the broker
    kind: InstrumentKind
    held: Decimal  # under the product to convert from; negative: short
    held_as_target: Decimal = ZERO
    working: tuple[Order, ...]  # the working orders of that position, external ones included
    unplaced: Decimal = ZERO  # quantity for which linked exits will place an order
    is_closing: bool  # a close of either position is under way
    under_way: str | None = None  # id of a conversion of the instrument
    halts: tuple[str, ...] = ()  # reasons of the halts that apply
    arming: Arming = Arming.ARMED
    phase: Phase | None  # None: the calendar does not cover this moment
    is_square_off: bool  # the time of the square-off has come
    is_near_delivery: bool = False
    price: Decimal
    available: Decimal  # funds that are not used as margin


ConversionCheck = Callable[[Conversion, ConversionSnapshot], ConversionRefusal | None]


def refusal(conversion: Conversion, facts: ConversionSnapshot) -> ConversionRefusal | None:
    """Return why the position cannot be converted, or None if it can."""
    found = (check(conversion, facts) for check in CONVERSION_CHECKS)
    return next((each for each in found if each is not None), None)


def exiting(held: Decimal, working: Iterable[Order]) -> Decimal:
    """Return the quantity by which working orders may still reduce the position.

    An order with a pending cancel counts: it may be filled before the cancel reaches the exchange. So does a
    pending modification, which may be in force.
    """
    opposing = (order for order in working if order.terms.side.sign * held < 0)
    return sum((open_quantity(order) for order in opposing), ZERO)


def added_margin(conversion: Conversion, kind: InstrumentKind, price: Decimal) -> Decimal:
    """Return the margin that the target needs beyond that of the source; negative: margin becomes free."""
    exposure = conversion.quantity * price
    before = margin.required(kind, conversion.source, exposure)
    return margin.required(kind, conversion.target, exposure) - before


# --- the checks ----------------------------------------------------------------------------------------


def _is_supported(conversion: Conversion, facts: ConversionSnapshot) -> ConversionRefusal | None:
    if facts.is_supported:
        return None
    detail = f"the broker converts no position from {conversion.source} to {conversion.target}"
    return ConversionRefusal(ConversionCode.NOT_SUPPORTED, detail)


def _products_fit(conversion: Conversion, facts: ConversionSnapshot) -> ConversionRefusal | None:
    source, target = conversion.source, conversion.target
    if source is not target and margin.may_trade(facts.kind, target):
        return None
    detail = f"a position of kind {facts.kind} cannot be converted from {source} to {target}"
    return ConversionRefusal(ConversionCode.PRODUCT_NOT_ALLOWED, detail)


def _may_trade_now(conversion: Conversion, facts: ConversionSnapshot) -> ConversionRefusal | None:  # noqa: ARG001
    if facts.arming is not Arming.ARMED:
        return ConversionRefusal(ConversionCode.ACCOUNT_NOT_ARMED, "the account is live and not armed")
    if facts.halts:
        return ConversionRefusal(ConversionCode.HALTED, f"trading is halted: {'; '.join(facts.halts)}")
    if facts.phase is None:
        detail = "the trading calendar does not cover this moment"
        return ConversionRefusal(ConversionCode.CALENDAR_UNKNOWN, detail)
    if facts.phase is not Phase.CONTINUOUS:
        detail = f"the market is in phase {facts.phase}: positions are converted in continuous trading"
        return ConversionRefusal(ConversionCode.MARKET_CLOSED, detail)
    return None


def _quantity_is_held(conversion: Conversion, facts: ConversionSnapshot) -> ConversionRefusal | None:
    if ZERO < conversion.quantity <= abs(facts.held):
        return None
    wanted, held = to_text(conversion.quantity), to_text(facts.held)
    detail = f"{wanted} are to be converted, and {held} are held as {conversion.source}"
    return ConversionRefusal(ConversionCode.MORE_THAN_HELD, detail)


def _nothing_else_is_under_way(conversion: Conversion, facts: ConversionSnapshot) -> ConversionRefusal | None:  # noqa: ARG001
    if facts.is_closing:
        return ConversionRefusal(ConversionCode.BEING_CLOSED, "the position is being closed")
    if facts.under_way is not None:
        detail = f"conversion {facts.under_way} of the instrument is under way"
        return ConversionRefusal(ConversionCode.CONVERSION_UNDER_WAY, detail)
    return None


def _quantity_is_free(conversion: Conversion, facts: ConversionSnapshot) -> ConversionRefusal | None:
    free = abs(facts.held) - exiting(facts.held, facts.working) - facts.unplaced
    if conversion.quantity <= free:
        return None
    detail = f"working orders and linked exits leave {to_text(max(free, ZERO))} of {to_text(abs(facts.held))}"
    return ConversionRefusal(ConversionCode.QUANTITY_IN_EXITS, detail)


def _target_takes_the_side(conversion: Conversion, facts: ConversionSnapshot) -> ConversionRefusal | None:
    if facts.held < ZERO and conversion.target is Product.DELIVERY:
        detail = f"{to_text(facts.held)} are held: the position is short"
        return ConversionRefusal(ConversionCode.SHORT_DELIVERY, detail)
    if facts.held * facts.held_as_target < ZERO:
        detail = f"{to_text(facts.held_as_target)} are held as {conversion.target}"
        return ConversionRefusal(ConversionCode.OPPOSITE_HELD, detail)
    return None


def _target_can_be_opened(conversion: Conversion, facts: ConversionSnapshot) -> ConversionRefusal | None:
    if facts.is_square_off and conversion.target is Product.INTRADAY:
        return ConversionRefusal(ConversionCode.AFTER_SQUARE_OFF, "intraday positions are closed now")
    if facts.is_near_delivery and conversion.target is Product.CARRY:
        detail = "the contract is closed before its expiry, because it delivers shares"
        return ConversionRefusal(ConversionCode.NEAR_DELIVERY, detail)
    return None


def _funds_suffice(conversion: Conversion, facts: ConversionSnapshot) -> ConversionRefusal | None:
    needed = added_margin(conversion, facts.kind, facts.price)
    if needed <= max(facts.available, ZERO):
        return None
    detail = f"{needed:.2f} more margin is needed, {facts.available:.2f} is available"
    return ConversionRefusal(ConversionCode.INSUFFICIENT_FUNDS, detail)


CONVERSION_CHECKS: Final[tuple[ConversionCheck, ...]] = (
    _is_supported,
    _products_fit,
    _may_trade_now,
    _quantity_is_held,
    _nothing_else_is_under_way,
    _quantity_is_free,
    _target_takes_the_side,
    _target_can_be_opened,
    _funds_suffice,
)


# --- the outcome ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Excess:
    """By how much the broker's positions under the two products exceed ours."""

    source: Decimal
    target: Decimal


def excess_in(figures: BookFigures, symbol: str, source: Product, target: Product) -> Excess:
    """Return the excess, without fills that the broker has reported and that are not booked yet."""

    def of(product: Product) -> Decimal:
        item = item_of(symbol, product)
        ours, theirs = figures.ours.get(item), figures.theirs.get(item)
        stated = theirs.amount if theirs else ZERO
        return stated - (ours.amount if ours else ZERO) - figures.unbooked.get(item, ZERO)

    return Excess(of(source), of(target))


def is_converted(quantity: Decimal, before: Excess, now: Excess) -> bool | None:
    """Return whether the broker has converted a quantity (negative: short) between two comparisons.

    None if its positions show neither: they lag behind, or trades were made meanwhile that are not booked.
    """
    moved = (now.source - before.source, now.target - before.target)
    if moved == (-quantity, quantity):
        return True
    return False if moved == (ZERO, ZERO) else None
