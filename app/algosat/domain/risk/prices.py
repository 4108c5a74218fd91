"""Checks of an order's own terms: its prices against its type, the instrument and the market."""

from __future__ import annotations

from decimal import Decimal

from algosat.domain.orders import Intent, OrderType, Side
from algosat.domain.risk.denial import Denial, DenialCode
from algosat.domain.risk.picture import Picture


def prices_fit_the_type(intent: Intent, picture: Picture) -> Denial | None:  # noqa: ARG001
    for name, price, wanted in (
        ("limit_price", intent.limit_price, intent.type.has_limit),
        ("trigger_price", intent.trigger_price, intent.type.has_trigger),
    ):
        if wanted is not (price is not None):
            need = "needs a" if wanted else "takes no"
            return Denial(DenialCode.INVALID_TERMS, f"a {intent.type} order {need} {name}")
    if not intent.type.has_limit and intent.protection_price is None:
        return Denial(DenialCode.INVALID_TERMS, f"a {intent.type} order needs a protection price")
    return None


def stop_limit_is_beyond_its_trigger(intent: Intent, picture: Picture) -> Denial | None:  # noqa: ARG001
    limit, trigger = intent.limit_price, intent.trigger_price
    if limit is None or trigger is None or (limit - trigger) * intent.side.sign >= 0:
        return None
    where = "at or above" if intent.side is Side.BUY else "at or below"
    return Denial(DenialCode.INVALID_TERMS, f"the limit {limit} must be {where} the trigger {trigger}")


def prices_are_on_tick(intent: Intent, picture: Picture) -> Denial | None:
    for price in _prices(intent):
        if not picture.instrument.takes_price(price):
            return Denial(
                DenialCode.OFF_TICK, f"{price} is not a multiple of the tick {picture.instrument.tick}"
            )
    return None


def quantity_is_on_lot(intent: Intent, picture: Picture) -> Denial | None:
    if picture.instrument.takes_quantity(intent.quantity):
        return None
    return Denial(
        DenialCode.OFF_LOT,
        f"{intent.quantity} is not a positive multiple of the lot {picture.instrument.lot}",
    )


def quantity_is_not_frozen(intent: Intent, picture: Picture) -> Denial | None:
    freeze = picture.instrument.freeze_quantity
    if intent.quantity <= freeze:
        return None
    return Denial(DenialCode.ABOVE_FREEZE_QUANTITY, f"{intent.quantity} exceeds the freeze quantity {freeze}")


def quote_is_fresh(intent: Intent, picture: Picture) -> Denial | None:
    age = (picture.at - picture.quote.at).total_seconds()
    allowed = min(scope.limits.stale_quote_seconds for scope in picture.scopes)
    if abs(age) <= allowed:
        return None
    if age < 0:  # the clock was set back: nobody knows how old it is
        return Denial(
            DenialCode.STALE_QUOTE, f"the price of {intent.symbol} is from {-age:.1f} s ahead of now"
        )
    return Denial(
        DenialCode.STALE_QUOTE, f"the price of {intent.symbol} is {age:.1f} s old; {allowed:g} s are allowed"
    )


def prices_are_within_the_circuit(intent: Intent, picture: Picture) -> Denial | None:
    lower, upper = picture.quote.lower_circuit, picture.quote.upper_circuit
    for price in _prices(intent):
        if not lower <= price <= upper:
            return Denial(DenialCode.OUTSIDE_CIRCUIT, f"{price} is outside the circuit {lower} to {upper}")
    return None


def prices_are_near_the_market(intent: Intent, picture: Picture) -> Denial | None:
    last = picture.quote.last
    band = min(scope.limits.price_band_percent for scope in picture.scopes)
    for price in _prices(intent):
        if abs(price - last) * 100 > band * last:
            return Denial(
                DenialCode.OUTSIDE_PRICE_BAND, f"{price} is more than {band} % from the last price {last}"
            )
    return None


def trigger_is_ahead(intent: Intent, picture: Picture) -> Denial | None:
    trigger, last = intent.trigger_price, picture.quote.last
    if trigger is None or (trigger - last) * intent.side.sign > 0:
        return None
    where = "above" if intent.side is Side.BUY else "below"
    return Denial(
        DenialCode.TRIGGER_ALREADY_PASSED,
        f"the trigger {trigger} of a stop to {intent.side} must be {where} the last price {last}",
    )


def _prices(intent: Intent) -> tuple[Decimal, ...]:
    """Those that a person gave; the protection price is the gate's own."""
    given = (
        intent.limit_price if intent.type is not OrderType.MARKET else None,
        intent.trigger_price,
    )
    return tuple(price for price in given if price is not None)
