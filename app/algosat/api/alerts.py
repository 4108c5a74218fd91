"""Routes that list and acknowledge alerts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Row

from algosat.api.access import Access
from algosat.api.context import cause, desk_of, services
from algosat.api.fields import AccountName, CorrelationId, Timestamp
from algosat.api.pages import Label, Page, TimedQuery, page
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.domain.alert_kinds import Severity
from algosat.errors import NotFound
from algosat.store import queries
from algosat.trading import alerts

routes = Routes("alerts", "Alerts: conditions and events that need a person.")


class AlertsQuery(TimedQuery):
    account: Annotated[Label | None, Field(examples=["paper"])] = None
    """Only alerts about this account; by default those of all accounts."""
    open: bool | None = None
    """Only open alerts, or only closed ones."""
    acknowledged: bool | None = None
    """Only acknowledged alerts, or only the others."""
    kind: Annotated[Label | None, Field(examples=["risk.unpriced"])] = None
    """Only alerts of this kind."""
    severity: Severity | None = None
    """Only alerts of this severity."""


class AlertView(Output):
    """An alert."""

    id: Annotated[int, Field(examples=[7])]
    """Id of the alert."""
    account: AccountName
    kind: Annotated[str, Field(examples=["risk.unpriced"])]
    """Kind of alert; the API's description lists them."""
    severity: Annotated[Severity, Field(examples=["critical"])]
    """Severity of the kind."""
    subject: Annotated[str, Field(examples=["ALPHA-EQ"])]
    """Order, instrument or other thing that the alert is about."""
    detail: Annotated[str, Field(examples=["the open position has no price: it is valued at cost"])]
    """What was found, in a sentence."""
    opened_at: Timestamp
    """Time at which the alert was opened."""
    acknowledged_at: Timestamp | None
    """Time of the first acknowledgement; null if there is none."""
    acknowledged_by: Annotated[str | None, Field(examples=["user:trader"])]
    """Who acknowledged the alert; null if nobody did."""
    closed_at: Timestamp | None
    """Time at which the alert was closed; null while it is open."""
    correlation_id: CorrelationId


@routes.get("/alerts", access=Access.VIEWER, query=AlertsQuery, answer=Page[AlertView])
def list_alerts(query: AlertsQuery) -> dict[str, Any]:
    """List alerts, newest first"""
    with services().database.read() as connection:
        found = queries.alerts_page(
            connection,
            limit=query.limit,
            cursor=query.after,
            since=query.since,
            account=None if query.account is None else desk_of(query.account).account,
            is_open=query.open,
            acknowledged=query.acknowledged,
            kind=query.kind,
            severity=query.severity,
        )
    return page((_view(row) for row in found.rows), found.next_cursor)


@routes.post(
    "/alerts/<number:alert_id>/acknowledge",
    access=Access.TRADER,
    answer=AlertView,
    errors=(NotFound,),
)
def acknowledge_alert(alert_id: str) -> AlertView:
    """Acknowledge an alert

    Only the first acknowledgement counts. An alert about a condition stays open until the condition ends; any
    other alert closes when it is acknowledged.
    """
    desk, by = services().desks.first, cause()
    return _view(desk.writer.run(lambda connection: alerts.acknowledge(connection, desk, int(alert_id), by)))


def _view(row: Row[Any]) -> AlertView:
    return {
        "id": row.id,
        "account": row.account,
        "kind": row.kind,
        "severity": Severity(row.severity),
        "subject": row.subject,
        "detail": row.detail,
        "opened_at": row.opened_at,
        "acknowledged_at": row.acknowledged_at,
        "acknowledged_by": row.acknowledged_by,
        "closed_at": row.closed_at,
        "correlation_id": row.correlation_id,
    }
