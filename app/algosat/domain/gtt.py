"""GTT orders (good till triggered): held until the last price crosses a trigger price, then placed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from algosat.domain.instruments import Quote
from algosat.domain.linked_requests import ExitRequest
from algosat.domain.orders import OrderTerms

LONGEST: Final = timedelta(days=366)  # that a GTT order waits, as at Indian brokers
MOST_ACTIVE: Final = 250  # of an account: the engine compares each with its price five times a second


class GttState(StrEnum):
    ACTIVE = "active"
    TRIGGERED = "triggered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class GttOrder:
    id: str
    terms: OrderTerms  # of the order that is placed when the trigger price is reached
    exits: ExitRequest | None  # linked exits of that order
    trigger_price: Decimal
    is_above: bool  # the trigger price was above the last price when the order was kept
    expires_at: datetime
    created_at: datetime
    updated_at: datetime
    state: GttState = GttState.ACTIVE
    order_id: str | None = None  # of the order that was placed
    version: int = 1

    def is_expired(self, at: datetime) -> bool:
        return at >= self.expires_at

    def is_reached(self, quote: Quote) -> bool:
        """Return whether the last price has crossed the trigger price."""
        return quote.last >= self.trigger_price if self.is_above else quote.last <= self.trigger_price
