"""An order and its states."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from algosat.domain.decimals import ZERO
from algosat.domain.orders.terms import OrderChange, OrderTerms


class Status(StrEnum):
    CREATED = "created"
    DENIED = "denied"
    SUBMITTING = "submitting"
    OPEN = "open"
    TRIGGER_PENDING = "trigger_pending"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    NOT_FOUND = "not_found"


# The broker has these orders or may have them: they count towards exposure and can be cancelled.
WORKING: Final = frozenset(
    {
        Status.CREATED,
        Status.SUBMITTING,
        Status.OPEN,
        Status.TRIGGER_PENDING,
        Status.PARTIALLY_FILLED,
        Status.UNKNOWN,
        Status.NOT_FOUND,  # not found is no proof of absence: the operator decides
    }
)
# Orders that the broker's book shows as live.
LIVE: Final = frozenset({Status.OPEN, Status.TRIGGER_PENDING, Status.PARTIALLY_FILLED})
TERMINAL: Final = frozenset(Status) - WORKING
# Whether the broker has these orders is not known.
UNCERTAIN: Final = frozenset({Status.UNKNOWN, Status.NOT_FOUND})
# The broker has not acknowledged these orders.
UNSENT: Final = frozenset({Status.CREATED, Status.SUBMITTING})


class PendingRequest(StrEnum):
    """A request to the broker that is under way, beside the status of the order."""

    PENDING_MODIFY = "pending_modify"
    PENDING_CANCEL = "pending_cancel"


@dataclass(frozen=True, slots=True)
class Order:
    """An order in the state that its events lead to."""

    id: str  # also the tag the broker sees: 18 characters, lowercase alphanumeric, first letter `a`
    terms: OrderTerms
    created_at: datetime
    updated_at: datetime
    status: Status = Status.CREATED
    pending: PendingRequest | None = None
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO  # the sum of price × quantity over its trades
    broker_order_id: str | None = None
    code: str | None = None
    reason: str | None = None
    pending_change: OrderChange | None = None
    external: bool = False  # placed elsewhere and imported from the broker's book; never changed by us
    version: int = 1  # number of its events

    @property
    def intent(self) -> OrderTerms:
        """Return `terms`. Deprecated: strategies of older releases use it; to be removed in 0.2.0."""
        message = "Order.intent is deprecated and will be removed in 0.2.0: use terms"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self.terms

    @property
    def overlay(self) -> PendingRequest | None:
        """Return `pending`. Deprecated: strategies of older releases use it; to be removed in 0.2.0."""
        message = "Order.overlay is deprecated and will be removed in 0.2.0: use pending"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self.pending

    @property
    def remaining_quantity(self) -> Decimal:
        return self.terms.quantity - self.filled_quantity

    @property
    def average_price(self) -> Decimal | None:
        return self.filled_value / self.filled_quantity if self.filled_quantity else None

    @property
    def is_working(self) -> bool:
        return self.status in WORKING

    @property
    def due_at(self) -> datetime:
        """The earliest time at which the order is sent. Its age is measured from then."""
        return self.terms.send_at or self.created_at

    def waits(self, at: datetime) -> bool:
        """Return whether the order is held here until its market opens."""
        return self.status is Status.CREATED and self.terms.send_at is not None and at < self.terms.send_at

    @property
    def is_acknowledged(self) -> bool:
        """Whether the broker has acknowledged the order, never will, or is not asked before `send_at`."""
        return self.status not in UNSENT or (self.status is Status.CREATED and self.terms.send_at is not None)
