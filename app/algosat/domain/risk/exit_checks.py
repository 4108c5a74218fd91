"""Checks of orders that reduce a position: never by more than is held."""

from __future__ import annotations

from algosat.domain.orders import OrderTerms, Product, Side
from algosat.domain.risk.denial import Denial, DenialCode
from algosat.domain.risk.snapshot import RiskSnapshot


def reduce_only_reduces(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    held = snapshot.position.quantity
    if not terms.reduce_only or held * terms.side.sign < 0:
        return None
    return Denial(DenialCode.NOT_REDUCING, f"an order to {terms.side} does not reduce a position of {held}")


def reduce_only_stays_within_the_position(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    left = snapshot.position.left_to_reduce(terms.side)
    if not terms.reduce_only or terms.quantity <= left:
        return None
    return Denial(
        DenialCode.MORE_THAN_HELD,
        f"{left} of {snapshot.position.quantity} are left after orders already working",
    )


def delivery_is_sold_from_holdings(terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
    if terms.product is not Product.DELIVERY or terms.side is Side.BUY:
        return None
    left = snapshot.position.left_to_reduce(Side.SELL)
    if terms.quantity <= left:
        return None
    return Denial(DenialCode.NO_HOLDINGS, f"{left} of {terms.symbol} are held and not being sold already")
