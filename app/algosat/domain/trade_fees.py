"""Fees that a broker states with each trade, in any currency.

A fee in the account's currency is booked as it is. A fee that is taken out of what was bought lowers the
position: nobody can sell more than is there. Its value follows from the price of the trade, without a rate. A
fee in any other currency is kept in that currency: it is never added to amounts of another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument
from algosat.domain.orders import Side, Trade


@dataclass(frozen=True, slots=True)
class ChargedFill:
    """What a trade with a fee of its own changes."""

    quantity: Decimal  # of the position, in the direction of the trade
    fees: Decimal = ZERO  # in the account's currency
    other_fee: Decimal = ZERO  # in `other_currency`
    other_currency: str | None = None


def charged_fill(
    trade: Trade, side: Side, instrument: Instrument | None, currency: str | None
) -> ChargedFill:
    """Return what a trade with a fee changes in an account of this currency."""
    fee = trade.fee or ZERO
    if not fee or trade.fee_currency in (None, currency):
        return ChargedFill(trade.quantity, fee)
    if instrument is not None and trade.fee_currency == instrument.base_currency:
        return ChargedFill(trade.quantity - side.sign * fee, fee * trade.price)
    return ChargedFill(trade.quantity, other_fee=fee, other_currency=trade.fee_currency)
