"""The gate: every order passes it before it is stored as created."""

from __future__ import annotations

from dataclasses import replace

from algosat.domain import risk
from algosat.domain.market_protection import protection_price
from algosat.domain.orders import OrderTerms, Product, Side
from algosat.domain.risk import Denial, RiskSnapshot, limit_checks


def judge(terms: OrderTerms, snapshot: RiskSnapshot | Denial) -> tuple[OrderTerms, Denial | None]:
    """Return the terms as they are stored, and the denial if the order may not be placed.

    The terms get their protection price, and a delivery sale of held shares is marked reduce-only: it can
    only reduce its position. An after-market order that passes gets the time at which it is sent. If the
    snapshot could not be read, `snapshot` is the denial to return.
    """
    if isinstance(snapshot, Denial):
        return terms, snapshot
    judged = replace(terms, reduce_only=True) if sells_holdings(terms, snapshot) else terms
    protection = protection_price(judged, snapshot.instrument, snapshot.quote, snapshot.circuit_quote(judged))
    judged = replace(judged, protection_price=protection)
    denial = risk.first_denial(judged, snapshot)
    if denial is None and not terms.reduce_only:  # an equal sale may be a mistake, even if it is an exit
        denial = limit_checks.is_not_a_repeat(terms, snapshot)
    if terms.is_after_market and terms.send_at is None and denial is None:
        judged = replace(judged, send_at=snapshot.opens_at)
    return judged, denial


def sells_holdings(terms: OrderTerms, snapshot: RiskSnapshot) -> bool:
    """Return whether the order is a delivery sale of shares that are held and not being sold already."""
    sells = terms.product is Product.DELIVERY and terms.side is Side.SELL
    return sells and terms.quantity > 0 and snapshot.is_exit(terms)
