"""Routes of the audit trail and its verification."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Row

from algosat.api.access import Access
from algosat.api.context import services
from algosat.api.fields import Actor, CorrelationId, Timestamp
from algosat.api.pages import Label, Page, TimedQuery, page
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.store import audit, fallbacks, queries

routes = Routes("audit", "The audit trail and its verification.")


class AuditQuery(TimedQuery):
    kind: Annotated[Label | None, Field(examples=["user.logged_in"])] = None
    """Only events of this kind."""
    subject: Annotated[Label | None, Field(examples=["trader"])] = None
    """Only events about this order, user, strategy or other subject."""
    actor: Annotated[Label | None, Field(examples=["user:admin"])] = None
    """Only events caused by this actor."""


class EventView(Output):
    """One event of the audit trail."""

    seq: Annotated[int, Field(examples=[41])]
    """Position in the audit trail."""
    at: Timestamp
    """Time of the event."""
    kind: Annotated[str, Field(examples=["user.logged_in"])]
    """Kind of event."""
    subject: Annotated[str, Field(examples=["trader"])]
    """Order, user, strategy or other thing that the event is about."""
    actor: Actor
    correlation_id: CorrelationId
    data: Annotated[dict[str, Any], Field(examples=[{"address": "203.0.113.7"}])]
    """Details, depending on the kind."""
    hash: Annotated[str, Field(examples=["5f2d7c41a0b39e68d4c1725b90ae36f8cc0b7d1e4923f65a81d07b2e9f34c6a5"])]
    """SHA-256 over this event and the hash of the previous event."""


class AuditVerification(Output):
    """Result of following the chain of hashes."""

    intact: Annotated[bool, Field(examples=[True])]
    """Whether every hash matches."""
    first_broken: int | None
    """`seq` of the first event that does not match; null if the trail is intact."""


@routes.get("/audit", access=Access.ADMIN, query=AuditQuery, answer=Page[EventView])
def list_events(query: AuditQuery) -> dict[str, Any]:
    """List events of every kind, newest first"""
    with services().database.read() as connection:
        found = queries.events_page(
            connection,
            limit=query.limit,
            cursor=query.after,
            since=query.since,
            kind=query.kind,
            subject=query.subject,
            actor=query.actor,
        )
    return page((_view(row) for row in found.rows), found.next_cursor)


@routes.get("/audit/verify", access=Access.ADMIN, answer=AuditVerification)
def verify() -> AuditVerification:
    """Verify the chain of hashes from the first event to the last"""
    with services().database.read() as connection:
        broken = audit.first_broken_link(connection)
    return {"intact": broken is None, "first_broken": broken}


def _view(row: Row[Any]) -> EventView:
    return {
        "seq": row.seq,
        "at": row.at,
        "kind": fallbacks.exact_kind(row.kind, row.data),
        "subject": row.subject,
        "actor": row.actor,
        "correlation_id": row.correlation_id,
        "data": row.data,
        "hash": row._mapping["hash"],
    }
