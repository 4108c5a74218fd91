"""Routes for the server's own errors: a list, and what it shows about a period."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from algosat.api.access import Access
from algosat.api.context import services
from algosat.api.fields import CorrelationId, Timestamp
from algosat.api.pages import Everything, page
from algosat.api.request_models import Input
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.errors import Component, ErrorCategory, ErrorSeverity
from algosat.resilience import error_store
from algosat.resilience.error_analytics import Burst, Cost, RecoveryTotals, read_analytics
from algosat.resilience.error_store import ErrorEntry

routes = Routes("errors", "Errors of the server itself.")


class ErrorsQuery(Input):
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Largest number of errors to return."""
    severity: ErrorSeverity | None = None
    """Only errors of this severity."""
    category: ErrorCategory | None = None
    """Only errors of this category."""
    component: Component | None = None
    """Only errors of this component."""


class ErrorView(Output):
    """Occurrences of one error at one place."""

    code: Annotated[str, Field(examples=["store_busy"])]
    """Code of the error, or the name of its Python exception."""
    severity: Annotated[ErrorSeverity, Field(examples=["high"])]
    """Severity of the error."""
    category: Annotated[ErrorCategory, Field(examples=["database"])]
    """Category of the error."""
    component: Annotated[Component, Field(examples=["database"])]
    """Component that failed."""
    place: Annotated[str, Field(examples=["/orders"])]
    """Where the error occurred: a route, or a part of the engine or of the strategies with its account."""
    message: Annotated[str, Field(examples=["the store did not take the write within 10 s"])]
    """Latest message of the error."""
    correlation_id: CorrelationId
    count: Annotated[int, Field(examples=[2])]
    """Number of occurrences."""
    first_at: Timestamp
    """Time of the first occurrence."""
    last_at: Timestamp
    """Time of the last occurrence."""
    release: Annotated[str | None, Field(examples=["0.1.0"])]
    """Release in which the error occurred first; null for errors of releases before these were recorded."""


@routes.get("/errors", access=Access.ADMIN, query=ErrorsQuery, answer=Everything[ErrorView])
def list_errors(query: ErrorsQuery) -> dict[str, Any]:
    """List errors of the server, equal ones together, latest first

    Errors of every process are listed within a second or two: of the API, the engine and its accounts, the
    supervisor of the strategies; and orders that the engine or the broker refused after they were accepted.
    """
    with services().database.read() as connection:
        found = error_store.latest(
            connection,
            limit=query.limit,
            severity=query.severity,
            category=query.category,
            component=query.component,
        )
    return page(map(_view, found), None)


class AnalyticsQuery(Input):
    hours: Annotated[int, Field(ge=1, le=168)] = 24
    """Length of the period up to now. It is compared with the period of the same length before."""


class ErrorCounts(Output):
    """Numbers of errors by severity."""

    low: Annotated[int, Field(examples=[0])]
    """Errors of severity low."""
    medium: Annotated[int, Field(examples=[12])]
    """Errors of severity medium."""
    high: Annotated[int, Field(examples=[3])]
    """Errors of severity high."""
    critical: Annotated[int, Field(examples=[0])]
    """Errors of severity critical."""


class TrendStep(Output):
    """Errors of one hour, or of five minutes in a period shorter than six hours."""

    at: Timestamp
    """When the step begins."""
    counts: ErrorCounts
    """Errors by severity."""


class ComponentCount(Output):
    """Number of errors of one component."""

    component: Annotated[Component, Field(examples=["database"])]
    """Component that failed."""
    count: Annotated[int, Field(examples=[12])]
    """Number of errors."""


class CategoryCount(Output):
    """Number of errors of one category."""

    category: Annotated[ErrorCategory, Field(examples=["database"])]
    """Category of the errors."""
    count: Annotated[int, Field(examples=[12])]
    """Number of errors."""


class FrequentError(Output):
    """An error that occurred often."""

    code: Annotated[str, Field(examples=["store_busy"])]
    """Code of the error."""
    place: Annotated[str, Field(examples=["/orders"])]
    """Where the error occurred."""
    count: Annotated[int, Field(examples=[12])]
    """Number of occurrences in the period."""


class BurstView(Output):
    """An interval of five minutes in which an error occurred far more often than usual."""

    code: Annotated[str, Field(examples=["store_busy"])]
    """Code of the error."""
    place: Annotated[str, Field(examples=["/orders"])]
    """Where the error occurred."""
    at: Timestamp
    """When the interval begins."""
    count: Annotated[int, Field(examples=[75])]
    """Number of occurrences in the interval."""
    usual: Annotated[float, Field(examples=[0.2])]
    """Mean number in the other intervals of the period."""


class FailingTogetherView(Output):
    """Two components that mostly fail in the same intervals of five minutes."""

    components: Annotated[list[Component], Field(examples=[["database", "engine"]])]
    """The two components."""
    intervals: Annotated[int, Field(examples=[4])]
    """Number of intervals in which both failed."""
    share: Annotated[float, Field(examples=[0.8])]
    """Share of the intervals in which either failed."""


class NewError(Output):
    """An error that occurred for the first time in the running release."""

    code: Annotated[str, Field(examples=["KeyError"])]
    """Code of the error."""
    place: Annotated[str, Field(examples=["/candles/{symbol}"])]
    """Where the error occurred."""
    first_at: Timestamp
    """Time of the first occurrence."""


class CostView(Output):
    """What the errors cost the clients of the API."""

    requests: Annotated[int, Field(examples=[5210])]
    """Number of requests; those of the last minutes may be missing."""
    failed: Annotated[int, Field(examples=[15])]
    """Number of requests answered with a server error."""
    failed_seconds: Annotated[float, Field(examples=[31.5])]
    """Seconds that failed requests took together."""
    mean_ms_with_errors: Annotated[float | None, Field(examples=[210.4])]
    """Mean milliseconds of a request in intervals with errors of severity high or critical; null if there are
    none."""
    mean_ms_without_errors: Annotated[float | None, Field(examples=[12.1])]
    """Mean milliseconds of a request in the other intervals; null if there are none."""


class RecoveryView(Output):
    """How often the application recovered by itself."""

    action: Annotated[str, Field(examples=["order_search"])]
    """What it did: repeat a failing part (`round`), resend an order that was certainly not sent
    (`order_resend`), search for an unknown order (`order_search`), start a crashed strategy again
    (`strategy_restart`), write what was kept while the store was away (`store_write`)."""
    succeeded: Annotated[int, Field(examples=[9])]
    """Number of attempts that succeeded."""
    failed: Annotated[int, Field(examples=[1])]
    """Number of attempts that failed."""
    success_rate: Annotated[float, Field(examples=[0.9])]
    """Share of the attempts that succeeded."""
    mean_seconds: Annotated[float, Field(examples=[1.4])]
    """Mean seconds from the error until the success."""


class AnalyticsView(Output):
    """What the errors of a period show."""

    since: Timestamp
    """Begin of the period."""
    until: Timestamp
    """End of the period."""
    release: Annotated[str, Field(examples=["0.1.0"])]
    """The running release."""
    total: Annotated[int, Field(examples=[15])]
    """Number of errors."""
    total_before: Annotated[int, Field(examples=[4])]
    """Number of errors in the period of the same length before."""
    by_severity: ErrorCounts
    """Errors by severity."""
    by_category: list[CategoryCount]
    """Errors by category, most first."""
    by_component: list[ComponentCount]
    """Errors by component, most first."""
    trend: list[TrendStep]
    """Errors of each step of the period, oldest first."""
    most_frequent: list[FrequentError]
    """The ten most frequent errors."""
    bursts: list[BurstView]
    """Bursts, largest first."""
    failing_together: list[FailingTogetherView]
    """Pairs of components that fail together."""
    new_in_release: list[NewError]
    """Errors of the period that no release before has recorded."""
    cost: CostView
    """Cost of the errors."""
    recoveries: list[RecoveryView]
    """Recoveries by action."""


@routes.get("/errors/analytics", access=Access.ADMIN, query=AnalyticsQuery, answer=AnalyticsView)
def analyse_errors(query: AnalyticsQuery) -> AnalyticsView:
    """Analyse the errors of a period: trend, bursts, components that fail together, cost, recoveries

    Intervals of five minutes are kept for two weeks.
    """
    with services().database.read() as connection:
        found = read_analytics(connection, services().clock(), timedelta(hours=query.hours))
    return {
        "since": found.since,
        "until": found.until,
        "release": error_store.release(),
        "total": found.total,
        "total_before": found.before,
        "by_severity": _counts(found.by_severity),
        "by_category": [
            {"category": category, "count": count} for category, count in found.by_category.most_common()
        ],
        "by_component": [
            {"component": component, "count": count} for component, count in found.by_component.most_common()
        ],
        "trend": [{"at": at, "counts": _counts(counts)} for at, counts in found.trend.items()],
        "most_frequent": [
            {"code": entry.code, "place": entry.place, "count": count} for entry, count in found.most_frequent
        ],
        "bursts": [_burst_view(burst) for burst in found.bursts],
        "failing_together": [
            {"components": list(each.components), "intervals": each.intervals, "share": round(each.share, 2)}
            for each in found.failing_together
        ],
        "new_in_release": [
            {"code": entry.code, "place": entry.place, "first_at": entry.first_at}
            for entry in found.new_in_release
        ],
        "cost": _cost_view(found.cost),
        "recoveries": [_recovery_view(each) for each in found.recoveries],
    }


def _counts(counts: Counter[ErrorSeverity]) -> ErrorCounts:
    return {
        "low": counts[ErrorSeverity.LOW],
        "medium": counts[ErrorSeverity.MEDIUM],
        "high": counts[ErrorSeverity.HIGH],
        "critical": counts[ErrorSeverity.CRITICAL],
    }


def _burst_view(burst: Burst) -> BurstView:
    return {
        "code": burst.entry.code,
        "place": burst.entry.place,
        "at": burst.at,
        "count": burst.count,
        "usual": round(burst.usual, 2),
    }


def _cost_view(cost: Cost) -> CostView:
    return {
        "requests": cost.requests,
        "failed": cost.failed,
        "failed_seconds": round(cost.failed_seconds, 3),
        "mean_ms_with_errors": _rounded(cost.mean_ms_with_errors),
        "mean_ms_without_errors": _rounded(cost.mean_ms_without_errors),
    }


def _recovery_view(totals: RecoveryTotals) -> RecoveryView:
    return {
        "action": totals.action,
        "succeeded": totals.succeeded,
        "failed": totals.failed,
        "success_rate": round(totals.success_rate, 3),
        "mean_seconds": round(totals.mean_seconds, 3),
    }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)


def _view(entry: ErrorEntry) -> ErrorView:
    return {
        "code": entry.code,
        "severity": entry.severity,
        "category": entry.category,
        "component": entry.component,
        "place": entry.place,
        "message": entry.message,
        "correlation_id": entry.correlation_id,
        "count": entry.count,
        "first_at": entry.first_at,
        "last_at": entry.last_at,
        "release": entry.release,
    }
