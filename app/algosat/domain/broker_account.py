"""What a broker states about an account: its positions, holdings and funds.

The account's own books are made of trades. These statements check them and never replace them.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from algosat.domain.orders import Product


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """A position of the trading day at the broker, carried quantities included."""

    symbol: str
    product: Product
    quantity: Decimal  # negative: short
    average_price: Decimal | None = None  # None: the broker does not state it


@dataclass(frozen=True, slots=True)
class BrokerHolding:
    """Shares or coins that the account owns, those bought elsewhere included."""

    symbol: str
    quantity: Decimal
    average_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class BrokerFunds:
    """The account's money in one currency."""

    currency: str
    cash: Decimal
    available: Decimal | None = None  # for new orders; None: the broker does not state it
    margin_used: Decimal | None = None
