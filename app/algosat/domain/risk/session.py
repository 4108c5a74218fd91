"""Checks of when and under which product an order may be placed."""

from __future__ import annotations

from algosat.domain import margin
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Intent, Product, Side
from algosat.domain.risk.denial import Denial, DenialCode
from algosat.domain.risk.picture import Picture
from algosat.domain.sessions import takes


def trading_is_not_halted(intent: Intent, picture: Picture) -> Denial | None:
    if intent.reduce_only or not picture.halts:
        return None
    return Denial(DenialCode.HALTED, f"trading is halted: {'; '.join(picture.halts)}")


def symbol_is_allowed(intent: Intent, picture: Picture) -> Denial | None:
    if intent.reduce_only:
        return None
    for scope in picture.scopes:
        allowed = scope.limits.allowed_symbols
        if allowed and intent.symbol not in allowed:
            return Denial(DenialCode.SYMBOL_NOT_ALLOWED, f"{intent.symbol} is not allowed for {scope.name}")
    return None


def contract_is_alive(intent: Intent, picture: Picture) -> Denial | None:
    expiry = picture.instrument.expiry
    if expiry is None or picture.trading_day <= expiry:
        return None
    return Denial(DenialCode.CONTRACT_EXPIRED, f"{intent.symbol} expired on {expiry}")


def product_fits_instrument(intent: Intent, picture: Picture) -> Denial | None:
    kind = picture.instrument.kind
    if margin.may_trade(kind, intent.product):
        return None
    return Denial(DenialCode.PRODUCT_NOT_ALLOWED, f"{kind} cannot be traded as {intent.product}")


def no_option_is_written(intent: Intent, picture: Picture) -> Denial | None:
    if picture.instrument.kind is not InstrumentKind.OPTION or intent.side is Side.BUY:
        return None
    if intent.quantity <= picture.own.left_to_reduce(Side.SELL):
        return None
    return Denial(DenialCode.PRODUCT_NOT_ALLOWED, "options can be sold only as far as they are held")


def session_takes_the_order(intent: Intent, picture: Picture) -> Denial | None:
    if takes(picture.phase, intent.type, intent.validity):
        return None
    return Denial(
        DenialCode.MARKET_CLOSED,
        f"{intent.symbol} is in phase {picture.phase}, which takes no {intent.type} {intent.validity} orders",
    )


def intraday_is_not_over(intent: Intent, picture: Picture) -> Denial | None:
    if intent.product is not Product.INTRADAY or intent.reduce_only or picture.square_off_at is None:
        return None
    if picture.at < picture.square_off_at:
        return None
    return Denial(
        DenialCode.AFTER_SQUARE_OFF, f"intraday positions are closed since {picture.square_off_at:%H:%M} UTC"
    )
