"""Route that lists the server's own errors."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Row

from algosat.api.access import Access
from algosat.api.context import services
from algosat.api.fields import CorrelationId, Timestamp
from algosat.api.pages import Everything, page
from algosat.api.request_models import Input
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.errors import Category, Severity
from algosat.resilience import error_log

routes = Routes("errors", "Errors of the server itself.")


class ErrorsQuery(Input):
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Largest number of errors to return."""
    severity: Severity | None = None
    """Only errors of this severity."""


class ErrorView(Output):
    """Occurrences of one error at one place."""

    code: Annotated[str, Field(examples=["store_busy"])]
    """Code of the error, or the name of its Python exception."""
    severity: Annotated[Severity, Field(examples=["error"])]
    """Severity of the error."""
    category: Annotated[Category, Field(examples=["store"])]
    """Part of the system that the error concerns."""
    place: Annotated[str, Field(examples=["/orders"])]
    """Route or engine task where the error occurred."""
    message: Annotated[str, Field(examples=["the store did not take the write within 5 s"])]
    """Latest message of the error."""
    correlation_id: CorrelationId
    count: Annotated[int, Field(examples=[2])]
    """Number of occurrences."""
    first_at: Timestamp
    """Time of the first occurrence."""
    last_at: Timestamp
    """Time of the last occurrence."""


@routes.get("/errors", access=Access.ADMIN, query=ErrorsQuery, answer=Everything[ErrorView])
def list_errors(query: ErrorsQuery) -> dict[str, Any]:
    """List errors of the server, equal ones together, latest first"""
    services().errors.flush()
    with services().database.read() as connection:
        found = error_log.latest(connection, limit=query.limit, severity=query.severity)
    return page((_view(row) for row in found), None)


def _view(row: Row[Any]) -> ErrorView:
    return {
        "code": row.code,
        "severity": Severity(row.severity),
        "category": Category(row.category),
        "place": row.place,
        "message": row.message,
        "correlation_id": row.correlation_id,
        "count": row._mapping["count"],
        "first_at": row.first_at,
        "last_at": row.last_at,
    }
