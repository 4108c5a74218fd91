"""The audit trail: what happened, who set it off, and whether anybody changed the record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row
from typing_extensions import TypedDict

from algosat.api.access import Access
from algosat.api.context import services
from algosat.api.pages import Label, Page, TimedQuery, page
from algosat.api.routes import Routes
from algosat.store import audit, queries

routes = Routes("audit")


class AuditQuery(TimedQuery):
    kind: Label | None = None
    subject: Label | None = None
    actor: Label | None = None


class EventView(TypedDict):
    seq: int
    at: datetime
    kind: str
    subject: str
    actor: str
    correlation_id: str
    data: dict[str, Any]
    hash: str


class Verdict(TypedDict):
    intact: bool
    first_broken: int | None


@routes.get("/audit", access=Access.ADMIN, query=AuditQuery, answer=Page[EventView])
def list_events(query: AuditQuery) -> dict[str, Any]:
    """Events of every kind, newest first"""
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


@routes.get("/audit/verify", access=Access.ADMIN, answer=Verdict)
def verify() -> Verdict:
    """Follow the chain of hashes from the first event to the last"""
    with services().database.read() as connection:
        broken = audit.first_broken_link(connection)
    return {"intact": broken is None, "first_broken": broken}


def _view(row: Row[Any]) -> EventView:
    return {
        "seq": row.seq,
        "at": row.at,
        "kind": row.kind,
        "subject": row.subject,
        "actor": row.actor,
        "correlation_id": row.correlation_id,
        "data": row.data,
        "hash": row._mapping["hash"],
    }
