"""What went wrong lately, for whoever operates the server."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Row
from typing_extensions import TypedDict

from algosat.api.access import Access
from algosat.api.context import services
from algosat.api.pages import Everything, page
from algosat.api.request_models import Input
from algosat.api.routes import Routes
from algosat.errors import Category, Severity
from algosat.resilience import error_log

routes = Routes("errors")


class ErrorsQuery(Input):
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    severity: Severity | None = None


class ErrorView(TypedDict):
    code: str
    severity: Severity
    category: Category
    place: str
    message: str
    correlation_id: str
    count: int
    first_at: datetime
    last_at: datetime


@routes.get("/errors", access=Access.ADMIN, query=ErrorsQuery, answer=Everything[ErrorView])
def list_errors(query: ErrorsQuery) -> dict[str, Any]:
    """Errors that were our own or the store's, equal ones together, the latest first"""
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
