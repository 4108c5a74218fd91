"""Checks of whether trading in an instrument, under a product, is open to an order now."""

from __future__ import annotations

from algosat.domain import margin
from algosat.domain.arming import Arming
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.instruments import InstrumentKind
from algosat.domain.market_phases import has_ended, takes
from algosat.domain.orders import OrderTerms, Product, Side, Validity
from algosat.domain.risk.denial import Denial, DenialCode
from algosat.domain.risk.snapshot import RiskSnapshot
from algosat.domain.scope import EXTERNAL


def nothing_is_unknown(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    """Deny an order that cannot be checked, unless it reduces a position."""
    if terms.reduce_only and snapshot.position.left_to_reduce(terms.side):
        return None
    return next(iter(snapshot.unknown), None)


def account_is_armed(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    if snapshot.arming is Arming.ARMED:
        return None
    if snapshot.arming is Arming.EXITS_ONLY and (terms.reduce_only or snapshot.is_exit(terms)):
        return None
    return Denial(
        DenialCode.ACCOUNT_NOT_ARMED,
        f"account {terms.account} is live and not armed: an admin arms it (algosat account arm)",
    )


def trading_is_not_halted(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:  # noqa: ARG001
    if not snapshot.halts:
        return None
    return Denial(DenialCode.HALTED, f"trading is halted: {'; '.join(snapshot.halts)}")


def position_is_not_being_closed(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    if snapshot.closed_by is None or snapshot.is_exit(terms):
        return None
    return Denial(
        DenialCode.BEING_CLOSED,
        f"close {snapshot.closed_by} of this position is under way: wait for it, or withdraw it",
    )


def outcome_of_others_is_known(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    """Deny an order that the engine would hold back: an `unknown` one may be filled already, and repeated."""
    if not snapshot.awaits_outcome or terms.is_after_market:
        return None
    return Denial(
        DenialCode.HELD_BACK,
        f"the outcome of another order for {terms.symbol} is not known yet: repeat this one once it is",
    )


def external_positions_are_only_reduced(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    if terms.strategy != EXTERNAL or snapshot.is_exit(terms):
        return None
    held = snapshot.position.quantity
    return Denial(
        DenialCode.EXTERNAL_ENTRY,
        f"the strategy {EXTERNAL} holds what was opened outside Algosat, {held} of {terms.symbol}: "
        "an order under it can only reduce that position",
    )


def symbol_is_allowed(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    for scope in snapshot.scopes:
        allowed = scope.limits.allowed_symbols
        if allowed and terms.symbol not in allowed:
            return Denial(DenialCode.SYMBOL_NOT_ALLOWED, f"{terms.symbol} is not allowed for {scope.name}")
    return None


def contract_has_not_expired(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    expiry = snapshot.instrument.expiry if snapshot.instrument else None
    day = snapshot.trading_day
    if terms.is_after_market and snapshot.opens_at is not None:
        day = snapshot.opens_at.astimezone(EXCHANGE_TIME).date()
    if expiry is None or day <= expiry:
        return None
    return Denial(DenialCode.CONTRACT_EXPIRED, f"{terms.symbol} expired on {expiry}")


def contract_is_not_near_delivery(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    instrument = snapshot.instrument
    if instrument is None or not instrument.is_near_delivery(snapshot.trading_day) or snapshot.is_exit(terms):
        return None
    return Denial(
        DenialCode.NEAR_DELIVERY,
        f"{terms.symbol} expires on {instrument.expiry} and delivers shares: trade a later expiry",
    )


def product_fits_instrument(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    kind = snapshot.priced_position.kind
    if terms.product is Product.INTRADAY and terms.validity is Validity.GTC:
        detail = "an intraday position is closed at the end of the day: give the order the validity day"
        return Denial(DenialCode.PRODUCT_NOT_ALLOWED, detail)
    if margin.may_trade(kind, terms.product):
        return None
    return Denial(DenialCode.PRODUCT_NOT_ALLOWED, f"{kind} cannot be traded as {terms.product}")


def broker_takes_the_order(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    """Deny what the adapter cannot send as it is, exits included: nothing else is sent in its place."""
    refused = snapshot.capabilities.refused(terms) if snapshot.capabilities else None
    if refused is None:
        return None
    return Denial(
        DenialCode.NOT_SUPPORTED, f"the broker of account {terms.account} takes no {refused} orders"
    )


def options_may_be_written(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    if snapshot.priced_position.kind is not InstrumentKind.OPTION or terms.side is Side.BUY:
        return None
    if terms.quantity <= snapshot.position.left_to_reduce(Side.SELL):
        return None
    if all(scope.limits.option_writing for scope in snapshot.scopes):
        return None
    return Denial(
        DenialCode.PRODUCT_NOT_ALLOWED,
        "this would write an option: sell no more than is held, or set the limit option_writing to true",
    )


def phase_accepts_the_order(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    if terms.is_after_market:
        return _trading_has_ended(terms, snapshot)
    if snapshot.phase is None or takes(snapshot.phase, terms.type, terms.validity):
        return None
    detail = (
        f"{terms.symbol} is in phase {snapshot.phase}, which takes no {terms.type} {terms.validity} orders"
    )
    if snapshot.opens_at is not None:
        detail += (
            f" before {snapshot.opens_at.astimezone(EXCHANGE_TIME):%d %b %H:%M} IST; "
            "give it the session after_market to have it sent then"
        )
    return Denial(DenialCode.MARKET_CLOSED, detail)


def _trading_has_ended(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    if terms.send_at is not None:  # a modification of an order that waits already
        return None
    if snapshot.phase is not None and not has_ended(snapshot.phase):
        return Denial(
            DenialCode.MARKET_OPEN,
            f"{terms.symbol} is in phase {snapshot.phase}; after-market orders are taken from the end of "
            "continuous trading to the next opening: leave the session out, or use regular",
        )
    if snapshot.opens_at is None:
        return Denial(
            DenialCode.CALENDAR_UNKNOWN, f"the trading calendar does not say when {terms.symbol} opens next"
        )
    return None


def square_off_has_not_begun(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    if terms.product is not Product.INTRADAY or snapshot.square_off_at is None:
        return None
    if terms.is_after_market:  # checked when it is sent: a square-off that has begun is an earlier day's
        return None
    if snapshot.at < snapshot.square_off_at:
        return None
    return Denial(
        DenialCode.AFTER_SQUARE_OFF, f"intraday positions are closed since {snapshot.square_off_at:%H:%M} UTC"
    )
