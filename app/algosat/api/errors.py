"""Route that lists the server's own errors."""

from __future__ import annotations

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
