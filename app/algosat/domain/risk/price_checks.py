"""Checks of an order's prices and quantity against its type, the instrument and the market."""

from __future__ import annotations

from decimal import Decimal

from algosat.domain.instruments import InstrumentKind
from algosat.domain.market_protection import protection_distance
from algosat.domain.orders import OrderTerms, OrderType, Side
from algosat.domain.risk.denial import Denial, DenialCode
from algosat.domain.risk.snapshot import RiskSnapshot


def prices_fit_the_type(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    for name, price, wanted in (
        ("limit_price", terms.limit_price, terms.type.has_limit),
        ("trigger_price", terms.trigger_price, terms.type.has_trigger),
    ):
        if wanted is not (price is not None):
            need = "needs a" if wanted else "takes no"
            return Denial(DenialCode.INVALID_TERMS, f"a {terms.type} order {need} {name}")
    if not terms.type.has_limit and terms.protection_price is None:
        if snapshot.quote is None:
            return Denial(DenialCode.NO_QUOTE, f"there is no price of {terms.symbol}: give a limit price")
        return Denial(DenialCode.INVALID_TERMS, f"a {terms.type} order needs a protection price")
    return None


def stop_limit_is_beyond_its_trigger(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:  # noqa: ARG001
    limit, trigger = terms.limit_price, terms.trigger_price
    if limit is None or trigger is None or (limit - trigger) * terms.side.sign >= 0:
        return None
    where = "at or above" if terms.side is Side.BUY else "at or below"
    return Denial(DenialCode.INVALID_TERMS, f"the limit {limit} must be {where} the trigger {trigger}")


def prices_are_on_tick(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    instrument = snapshot.instrument
    if instrument is None:
        return None
    for price in _prices(terms):
        if not instrument.takes_price(price):
            return Denial(DenialCode.OFF_TICK, f"{price} is not a multiple of the tick {instrument.tick}")
    return None


def quantity_is_on_lot(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    instrument = snapshot.instrument
    if instrument is None or instrument.takes_quantity(terms.quantity):
        return None
    return Denial(
        DenialCode.OFF_LOT, f"{terms.quantity} is not a positive multiple of the lot {instrument.lot}"
    )


def order_is_large_enough(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    """Check the exchange's smallest order, at the price that the order is sent with; exits included."""
    instrument, quote = snapshot.instrument, snapshot.quote
    price = terms.limit_price or terms.protection_price or (quote.last if quote is not None else None)
    if instrument is None or price is None:
        return None
    why = instrument.too_small(terms.quantity, price)
    return None if why is None else Denial(DenialCode.BELOW_MINIMUM, why)


def quantity_is_within_freeze_quantity(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    instrument = snapshot.instrument
    if instrument is None or terms.quantity <= instrument.freeze_quantity:
        return None
    freeze = instrument.freeze_quantity
    return Denial(DenialCode.ABOVE_FREEZE_QUANTITY, f"{terms.quantity} exceeds the freeze quantity {freeze}")


def quote_is_fresh(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    if terms.is_after_market:  # judged when it is sent
        return None
    if snapshot.quote is None or snapshot.fresh_quote is not None:
        return None
    age = snapshot.quote.age(snapshot.at, snapshot.last_trading)
    if age < 0:  # the clock was put back: the age of the quote is unknown
        return Denial(
            DenialCode.STALE_QUOTE, f"the price of {terms.symbol} is dated {-age:.1f} s in the future"
        )
    return Denial(
        DenialCode.STALE_QUOTE,
        f"the price of {terms.symbol} is {age:.1f} s old; {snapshot.stale_after:g} s are allowed",
    )


def prices_are_within_the_circuit(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    """Check the circuit limits of a fresh quote only: the exchange may have widened older limits since."""
    if terms.is_after_market:  # the limits of the day on which it is sent are not known yet
        return None
    quote = snapshot.circuit_quote(terms)
    if quote is None or snapshot.fresh_quote is None:
        return None
    lower, upper = quote.lower_circuit, quote.upper_circuit
    for price in _prices(terms):
        if not lower <= price <= upper:
            return Denial(DenialCode.OUTSIDE_CIRCUIT, f"{price} is outside the circuit {lower} to {upper}")
    return None


def prices_are_near_the_market(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    """Deny prices outside the band. Options have the distance of market protection, if that is wider."""
    position = snapshot.priced_position
    last = position.last
    band = min(scope.limits.price_band_percent for scope in snapshot.scopes)
    widest = band * last / 100
    if position.kind is InstrumentKind.OPTION:
        widest = max(widest, protection_distance(snapshot.instrument, last))
    for price in _prices(terms):
        if abs(price - last) > widest:
            return Denial(
                DenialCode.OUTSIDE_PRICE_BAND, f"{price} is more than {band} % from the last price {last}"
            )
    return None


def trigger_is_not_passed(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    trigger, quote = terms.trigger_price, snapshot.fresh_quote
    if trigger is None or quote is None or (trigger - quote.last) * terms.side.sign > 0:
        return None
    where = "above" if terms.side is Side.BUY else "below"
    return Denial(
        DenialCode.TRIGGER_ALREADY_PASSED,
        f"the trigger {trigger} of a stop to {terms.side} must be {where} the last price {quote.last}",
    )


def _prices(terms: OrderTerms) -> tuple[Decimal, ...]:
    """Return the prices the client gave; the protection price is the gate's."""
    given = (
        terms.limit_price if terms.type is not OrderType.MARKET else None,
        terms.trigger_price,
    )
    return tuple(price for price in given if price is not None)
