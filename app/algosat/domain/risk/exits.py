"""Checks of orders that take something away: never more than is there."""

from __future__ import annotations

from algosat.domain.orders import Intent, Product, Side
from algosat.domain.risk.denial import Denial, DenialCode
from algosat.domain.risk.picture import Picture


def reduce_only_reduces(intent: Intent, picture: Picture) -> Denial | None:
    held = picture.own.quantity
    if not intent.reduce_only or held * intent.side.sign < 0:
        return None
    return Denial(DenialCode.NOT_REDUCING, f"to {intent.side} does not reduce a position of {held}")


def reduce_only_stays_within_the_position(intent: Intent, picture: Picture) -> Denial | None:
    left = picture.own.left_to_reduce(intent.side)
    if not intent.reduce_only or intent.quantity <= left:
        return None
    return Denial(
        DenialCode.MORE_THAN_HELD, f"{left} of {picture.own.quantity} are left after orders already working"
    )


def delivery_is_sold_from_holdings(intent: Intent, picture: Picture) -> Denial | None:
    if intent.product is not Product.DELIVERY or intent.side is Side.BUY:
        return None
    left = picture.own.left_to_reduce(Side.SELL)
    if intent.quantity <= left:
        return None
    return Denial(DenialCode.NO_HOLDINGS, f"{left} of {intent.symbol} are held and not being sold already")
