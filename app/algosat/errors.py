"""Every error of the application, named by what must happen next.

The API turns an error into a problem+json answer from what its class declares; nothing else
decides a status code.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class Category(StrEnum):
    INPUT = "input"
    ACCESS = "access"
    TRADING = "trading"
    BROKER = "broker"
    STORE = "store"
    CONFIGURATION = "configuration"
    INTERNAL = "internal"


class AlgosatError(Exception):
    """Something the caller is told of, in his words."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    severity: ClassVar[Severity] = Severity.ERROR
    category: ClassVar[Category] = Category.INTERNAL
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        errors: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.reported_code = code or self.code
        self.errors = errors or []
        self.headers = headers or {}


# --- what a caller got wrong -------------------------------------------------------------------


class InvalidRequest(AlgosatError):
    status, code, title = 400, "invalid_request", "The request cannot be understood"
    severity, category = Severity.INFO, Category.INPUT


class InvalidBody(InvalidRequest):
    status, code, title = 422, "invalid_body", "The body does not fit its schema"


class NotFound(AlgosatError):
    status, code, title = 404, "not_found", "There is no such thing"
    severity, category = Severity.INFO, Category.INPUT


class Conflict(AlgosatError):
    status, code, title = 409, "conflict", "The request conflicts with the present state"
    severity, category = Severity.INFO, Category.INPUT


class KeyReused(Conflict):
    code, title = "idempotency_key_reused", "The Idempotency-Key was used with another body"


# --- who may do what ---------------------------------------------------------------------------


class Unauthenticated(AlgosatError):
    status, code, title = 401, "unauthenticated", "A valid token is needed"
    severity, category = Severity.WARNING, Category.ACCESS


class Forbidden(AlgosatError):
    status, code, title = 403, "forbidden", "This needs more rights"
    severity, category = Severity.WARNING, Category.ACCESS


class TooManyRequests(AlgosatError):
    status, code, title = 429, "rate_limited", "Too many requests"
    severity, category, retryable = Severity.WARNING, Category.ACCESS, True


# --- trading -----------------------------------------------------------------------------------


class Denied(AlgosatError):
    """The gate said no; `code` of the denial is carried as the reported code."""

    status, code, title = 422, "denied", "The order was denied"
    severity, category = Severity.WARNING, Category.TRADING


class IllegalTransition(AlgosatError):
    status, code, title = 409, "illegal_transition", "That cannot happen to this order now"
    severity, category = Severity.WARNING, Category.TRADING


class Overfill(AlgosatError):
    """The broker reports more than was ordered: counted nowhere, and a person is called."""

    code, title = "overfill", "A fill exceeds its order"
    severity, category = Severity.CRITICAL, Category.BROKER


class CalendarUnknown(AlgosatError):
    """The trading calendar does not cover that day or segment: nothing may be traded on a guess."""

    status, code, title = 503, "calendar_unknown", "The trading calendar does not cover that moment"
    severity, category = Severity.CRITICAL, Category.TRADING


class FeesUnknown(AlgosatError):
    """No schedule of charges holds for that date or kind: no charge is ever guessed."""

    status, code, title = 503, "fees_unknown", "The charges for that trade are not known"
    severity, category = Severity.CRITICAL, Category.TRADING


# --- brokers: named by what is known of the order afterwards -----------------------------------


class BrokerError(AlgosatError):
    status, code, title = 502, "broker_error", "The broker failed"
    category = Category.BROKER


class BrokerRejected(BrokerError):
    """The broker surely did not take it."""

    status, code, title = 422, "broker_rejected", "The broker rejected the request"
    severity = Severity.WARNING


class BrokerNotReached(BrokerError):
    """The request surely never left: it may be sent again."""

    status, code, title = 503, "broker_unreachable", "The broker cannot be reached"
    retryable = True


class BrokerRateLimited(BrokerNotReached):
    code, title = "broker_rate_limited", "The broker asks for fewer requests"


class BrokerUncertain(BrokerError):
    """It may or may not have been taken: only evidence from the broker's book decides."""

    status, code, title = 504, "broker_uncertain", "The broker gave no answer that can be trusted"


class BrokerSessionExpired(BrokerError):
    status, code, title = 503, "broker_session_expired", "The broker session has ended; log in again"


class BrokerOrderGone(BrokerError):
    """A cancel or change came too late: the order is already complete. Read it again."""

    status, code, title = 409, "order_already_complete", "The order is already complete"
    severity = Severity.INFO


# --- the machine -------------------------------------------------------------------------------


class ConfigurationError(AlgosatError):
    """Everything that is wrong with the configuration, in one message."""

    code, title = "configuration_error", "The configuration is not valid"
    severity, category = Severity.CRITICAL, Category.CONFIGURATION


class StoreBusy(AlgosatError):
    status, code, title = 503, "store_busy", "The store did not answer in time"
    category, retryable = Category.STORE, True


class StoreDamaged(AlgosatError):
    code, title = "store_damaged", "The store contradicts itself"
    severity, category = Severity.CRITICAL, Category.STORE
