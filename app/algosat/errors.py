"""Every error of the application, named by what must happen next.

An error class declares its HTTP status, code, title, severity, category and component, and whether the same
request may succeed later; the API builds its problem+json response from them. Nothing else decides a status
code.
"""

from __future__ import annotations

import math
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final

_UNAVAILABLE: Final = 503


class ErrorSeverity(StrEnum):
    LOW = "low"  # the client's mistake, or an ordinary outcome
    MEDIUM = "medium"  # refused, or repeated by the application itself
    HIGH = "high"  # something that was asked for is not done
    CRITICAL = "critical"  # a person must act, or the application is wrong


class ErrorCategory(StrEnum):
    NETWORK = "network"
    DATABASE = "database"
    AUTHENTICATION = "authentication"
    TRADING = "trading"
    SYSTEM = "system"


class Component(StrEnum):
    """The part that failed; the names of `/health` where it has the part."""

    API = "api"
    SECURITY = "security"
    CONFIG = "config"
    DATABASE = "database"
    ENGINE = "engine"
    BROKER = "broker"
    TRADING = "trading"
    STRATEGIES = "strategies"


class AlgosatError(Exception):
    """Base class of the errors that are shown to a person. `detail` is one sentence for that person.

    A 503 says by `Retry-After` when the request may be repeated.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal server error"
    severity: ClassVar[ErrorSeverity] = ErrorSeverity.HIGH
    category: ClassVar[ErrorCategory] = ErrorCategory.SYSTEM
    component: ClassVar[Component] = Component.API
    retryable: ClassVar[bool] = False
    retry_seconds: ClassVar[int] = 5  # what `Retry-After` says with a 503

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
        if self.status == _UNAVAILABLE:
            self.headers = {"Retry-After": str(self.retry_seconds)} | self.headers


class InternalError(AlgosatError):
    """An exception that no code expects. It is logged with its traceback."""

    severity = ErrorSeverity.CRITICAL

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or "Unexpected error; the log has its traceback under this correlation id")


# --- invalid requests --------------------------------------------------------------------------


class InvalidRequest(AlgosatError):
    status, code, title = 400, "invalid_request", "Bad request"
    severity, category, component = ErrorSeverity.LOW, ErrorCategory.SYSTEM, Component.API


class InvalidJson(InvalidRequest):
    code, title = "invalid_json", "Malformed JSON"


class InvalidQuery(InvalidRequest):
    code, title = "invalid_query", "Invalid query parameter"


class KeyMissing(InvalidRequest):
    code, title = "idempotency_key_missing", "Idempotency-Key required"


class KeyMalformed(InvalidRequest):
    code, title = "idempotency_key_malformed", "Malformed Idempotency-Key"


class InvalidBody(InvalidRequest):
    status, code, title = 422, "invalid_body", "Invalid request body"


class WeakPassword(InvalidBody):
    code, title = "weak_password", "Password too weak"


class NotFound(AlgosatError):
    status, code, title = 404, "not_found", "Not found"
    severity, category, component = ErrorSeverity.LOW, ErrorCategory.SYSTEM, Component.API


class MethodNotAllowed(AlgosatError):
    status, code, title = 405, "method_not_allowed", "Method not allowed"
    severity, category, component = ErrorSeverity.LOW, ErrorCategory.SYSTEM, Component.API


class BodyTooLarge(AlgosatError):
    status, code, title = 413, "body_too_large", "Content too large"
    severity, category, component = ErrorSeverity.LOW, ErrorCategory.SYSTEM, Component.API


class UnsupportedMediaType(AlgosatError):
    status, code, title = 415, "unsupported_media_type", "Unsupported media type"
    severity, category, component = ErrorSeverity.LOW, ErrorCategory.SYSTEM, Component.API


class Conflict(AlgosatError):
    status, code, title = 409, "conflict", "Conflict"
    severity, category, component = ErrorSeverity.LOW, ErrorCategory.SYSTEM, Component.API


class KeyReused(Conflict):
    code, title = "idempotency_key_reused", "Idempotency-Key used for another request"


class UserExists(Conflict):
    code, title = "user_exists", "Username already taken"


class LastAdmin(Conflict):
    code, title = "last_admin", "Last admin"


class NoSession(Conflict):
    code, title = "no_session", "No login session"


class ChangedElsewhere(Conflict):
    code, title = "changed_elsewhere", "Setting changed by another route"


class OwnedByInventory(Conflict):
    code, title = "owned_by_inventory", "Setting owned by the inventory"


class NothingToClose(Conflict):
    code, title = "nothing_to_close", "Nothing to close"


# --- authentication and authorisation ----------------------------------------------------------


class Unauthenticated(AlgosatError):
    status, code, title = 401, "unauthenticated", "Authentication required"
    severity, category, component = ErrorSeverity.MEDIUM, ErrorCategory.AUTHENTICATION, Component.SECURITY


class WrongCredentials(Unauthenticated):
    code, title = "wrong_credentials", "Wrong username or password"


class Forbidden(AlgosatError):
    status, code, title = 403, "forbidden", "Insufficient role"
    severity, category, component = ErrorSeverity.MEDIUM, ErrorCategory.AUTHENTICATION, Component.SECURITY


class TooManyRequests(AlgosatError):
    status, code, title = 429, "rate_limited", "Too many requests"
    severity, category, component = ErrorSeverity.MEDIUM, ErrorCategory.AUTHENTICATION, Component.SECURITY
    retryable = True


class LockedOut(TooManyRequests):
    code, title = "locked_out", "Too many failed logins"


# --- trading -----------------------------------------------------------------------------------


class Denied(AlgosatError):
    """A pre-trade risk check denied the order; the reported code is the denial's."""

    status, code, title = 422, "denied", "Order denied"
    severity, category, component = ErrorSeverity.MEDIUM, ErrorCategory.TRADING, Component.TRADING


class ConversionRefused(AlgosatError):
    """A position is not converted; the reported code says why."""

    status, code, title = 422, "conversion_refused", "Conversion refused"
    severity, category, component = ErrorSeverity.MEDIUM, ErrorCategory.TRADING, Component.TRADING


class BasketDenied(AlgosatError):
    """Pre-trade risk checks denied a leg of an all-or-none basket."""

    status, code, title = 422, "basket_denied", "Basket denied"
    severity, category, component = ErrorSeverity.MEDIUM, ErrorCategory.TRADING, Component.TRADING


class OrderRefused(AlgosatError):
    """An accepted order, or a request to change or cancel one, was refused afterwards. It is never raised."""

    code, title = "order_refused", "Order refused after it was accepted"
    severity, category, component = ErrorSeverity.MEDIUM, ErrorCategory.TRADING, Component.TRADING


class ExitRefused(OrderRefused):
    """Somebody wants to leave a position, and cannot at once."""

    severity = ErrorSeverity.HIGH


class OrderOutcomeUnknown(OrderRefused):
    """Nobody knows whether the broker has the order: only its order book can tell."""

    code, title, severity = "order_unknown", "Outcome of the order unknown", ErrorSeverity.HIGH


class IllegalTransition(AlgosatError):
    status, code, title = 409, "illegal_transition", "Invalid state transition"
    severity, category, component = ErrorSeverity.MEDIUM, ErrorCategory.TRADING, Component.TRADING


class Overfill(AlgosatError):
    """The broker reports a larger filled quantity than was ordered.

    The fill is not booked, and an operator is alerted.
    """

    code, title = "overfill", "Fill exceeds the order quantity"
    severity, category, component = ErrorSeverity.CRITICAL, ErrorCategory.TRADING, Component.BROKER


class CalendarUnknown(AlgosatError):
    """The trading calendar does not cover this day or segment. Nothing is traded on a guess."""

    status, code, title = 503, "calendar_unknown", "Outside the trading calendar"
    severity, category, component = ErrorSeverity.CRITICAL, ErrorCategory.TRADING, Component.TRADING
    retry_seconds = 60  # a person must extend the calendar


class FeesUnknown(AlgosatError):
    """No fee schedule covers this date or instrument kind. Fees are never guessed."""

    status, code, title = 503, "fees_unknown", "Unknown fees"
    severity, category, component = ErrorSeverity.CRITICAL, ErrorCategory.TRADING, Component.TRADING
    retry_seconds = 60


# --- brokers: named by what is known about the order afterwards --------------------------------


class BrokerError(AlgosatError):
    status, code, title = 502, "broker_error", "Broker error"
    category, component = ErrorCategory.NETWORK, Component.BROKER


class BrokerRejected(BrokerError):
    """The broker has certainly not accepted the request."""

    status, code, title = 422, "broker_rejected", "Rejected by the broker"
    severity, category = ErrorSeverity.MEDIUM, ErrorCategory.TRADING


class BrokerUnsupported(BrokerRejected):
    """The adapter cannot do what is asked: its capabilities exclude it."""

    code, title = "broker_unsupported", "Not supported by the broker"


class BrokerEgressRefused(BrokerRejected):
    """The broker does not accept orders from this server's address."""

    code, title = "broker_egress_refused", "Address not accepted by the broker"


class BrokerInstrumentUnknown(BrokerRejected):
    code, title = "broker_instrument_unknown", "Instrument unknown to the broker"


class BrokerFundsShort(BrokerRejected):
    code, title = "broker_funds_short", "Insufficient funds at the broker"


class BrokerNotReached(BrokerError):
    """The request was certainly never sent; it is safe to retry."""

    status, code, title = 503, "broker_unreachable", "Broker unreachable"
    retryable = True


class BrokerRateLimited(BrokerNotReached):
    """The broker, or our budget for it, takes no more calls for now."""

    code, title = "broker_rate_limited", "Broker rate limit exceeded"
    severity = ErrorSeverity.MEDIUM

    def __init__(self, detail: str = "", *, retry_after: timedelta | None = None) -> None:
        seconds = None if retry_after is None else math.ceil(retry_after.total_seconds())
        super().__init__(detail, headers=None if seconds is None else {"Retry-After": str(max(seconds, 1))})
        self.retry_after = retry_after  # as the broker asks; None: it does not say


class BrokerUncertain(BrokerError):
    """The broker may or may not have accepted the request; only its order book can tell."""

    status, code, title = 504, "broker_uncertain", "Broker response missing"


class BrokerBookTooShort(BrokerUncertain):
    """The order is not in the broker's book, which does not go back to the time when it was sent."""

    code, title = "broker_book_too_short", "Order older than the broker's book"


class BrokerSessionExpired(BrokerError):
    status, code, title = 503, "broker_session_expired", "Broker session expired"
    category, retry_seconds = ErrorCategory.AUTHENTICATION, 60


class BrokerOrderGone(BrokerError):
    """A cancel or modify request came too late. The order must be read again from the broker."""

    status, code, title = 409, "order_already_complete", "Order already complete"
    severity, category = ErrorSeverity.LOW, ErrorCategory.TRADING


# --- what needs the engine -----------------------------------------------------------------------


class EngineAbsent(AlgosatError):
    """No engine answers what only a broker knows."""

    status, code, title = 503, "engine_absent", "Engine not running"
    component, retryable = Component.ENGINE, True


class EngineAway(EngineAbsent):
    """No engine is there to send the order, which is therefore not accepted."""

    code, title = "engine_away", "Engine not sending orders"


class EngineBusy(AlgosatError):
    status, code, title = 503, "engine_busy", "Too many requests to the broker"
    severity, component = ErrorSeverity.MEDIUM, Component.ENGINE
    retryable, retry_seconds = True, 1


class BrokerSilent(BrokerError):
    """The broker has not answered a request that changes nothing in time."""

    status, code, title = 504, "broker_timeout", "Broker timeout"
    retryable = True


# --- strategies ----------------------------------------------------------------------------------


class StrategyCrashed(AlgosatError):
    """The process of a strategy has ended, and is started again. The error is recorded, and never raised."""

    code, title = "strategy_crashed", "Strategy crashed"
    component = Component.STRATEGIES


class StrategyGivenUp(StrategyCrashed):
    """A strategy has crashed too often, and is not started again."""

    code, title, severity = "strategy_given_up", "Strategy given up", ErrorSeverity.CRITICAL


# --- configuration and store -------------------------------------------------------------------


class ConfigurationError(AlgosatError):
    """Lists every problem of the configuration in one message."""

    code, title = "configuration_error", "Invalid configuration"
    severity, category, component = ErrorSeverity.CRITICAL, ErrorCategory.SYSTEM, Component.CONFIG


class EncryptionKeyUnknown(ConfigurationError):
    """A stored value was encrypted with a key that this process does not have."""

    code, title = "encryption_key_unknown", "Encryption key unknown"
    component = Component.SECURITY


class EncryptedValueDamaged(AlgosatError):
    """A stored value was changed, or was moved from where it was encrypted for."""

    code, title = "encrypted_value_damaged", "Encrypted value damaged"
    severity, category, component = ErrorSeverity.CRITICAL, ErrorCategory.SYSTEM, Component.SECURITY


class StoreBusy(AlgosatError):
    status, code, title = 503, "store_busy", "Store unavailable"
    category, component, retryable = ErrorCategory.DATABASE, Component.DATABASE, True
    retry_seconds = 1


class Overloaded(StoreBusy):
    """The request was refused at once, because enough others wait for the store."""

    code, title, severity = "overloaded", "Service overloaded", ErrorSeverity.MEDIUM


class StoreFull(StoreBusy):
    """The disk or file system of the store has no space left: reads work, writes do not."""

    code, title = "store_full", "Disk full"
    severity, retry_seconds = ErrorSeverity.CRITICAL, 5


class StoreReadOnly(StoreBusy):
    """The store may be read but not written."""

    code, title = "store_read_only", "Store read-only"
    severity, retry_seconds = ErrorSeverity.CRITICAL, 5


class StoreDamaged(AlgosatError):
    code, title = "store_damaged", "Store integrity error"
    severity, category, component = ErrorSeverity.CRITICAL, ErrorCategory.DATABASE, Component.DATABASE
