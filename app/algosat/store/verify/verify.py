"""Verification of a live store: the hash chain is intact, and replaying all events gives the stored rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from algosat.domain.orders import EventKind, Order, apply, create
from algosat.errors import AlgosatError
from algosat.store import audit
from algosat.store.audit import GENESIS, Event
from algosat.store.fallbacks import OF_ORDERS
from algosat.store.rows import event_from, order_from, terms_from
from algosat.store.tables import orders, trades
from algosat.store.verify.adjustments import compare_adjustments
from algosat.store.verify.closes import compare_closes, compare_conversions
from algosat.store.verify.decisions import Decisions
from algosat.store.verify.kept_orders import compare_kept_orders
from algosat.store.verify.totals import compare_book, compare_counts


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Numbers of what was verified, and the findings."""

    events: int
    orders: int
    trades: int
    findings: list[str]

    @property
    def clean(self) -> bool:
        return not self.findings


def verify(connection: Connection) -> VerifyResult:
    """Replay all events and fills, and compare the result with the stored rows."""
    decisions = Decisions()
    replayed, events, findings = _replay(connection, decisions)
    findings += _compare_orders(connection, replayed)
    findings += compare_book(connection)
    findings += compare_counts(connection, replayed.values())
    findings += compare_closes(connection)
    findings += compare_conversions(connection)
    findings += compare_kept_orders(connection)
    findings += compare_adjustments(connection)
    findings += decisions.findings(connection)
    return VerifyResult(events, len(replayed), _count(connection), findings)


def _replay(connection: Connection, decisions: Decisions) -> tuple[dict[str, Order], int, list[str]]:
    replayed: dict[str, Order] = {}
    findings: list[str] = []
    previous, count = GENESIS, 0
    for event in audit.all_events(connection):
        count += 1
        if event.link(previous) != event.hash:
            findings.append(f"event {event.seq} was changed, or does not follow from the event before")
        previous = event.hash
        if event.kind.startswith(OF_ORDERS):
            findings += _step(replayed, event)
        else:
            findings += decisions.follow(event)
    return replayed, count, findings


def _step(replayed: dict[str, Order], event: Event) -> list[str]:
    if event.kind == EventKind.CREATED:
        replayed[event.subject] = create(
            event.subject, terms_from(event.data), event.at, external=event.data["external"]
        )
        return []
    if event.subject not in replayed:
        return [f"event {event.seq}: order {event.subject} was never created"]
    try:
        order = apply(replayed[event.subject], event_from(event.kind, event.at, event.data))
    except AlgosatError as error:
        return [f"event {event.seq}: {error.detail}"]
    replayed[event.subject] = order
    return []


def _compare_orders(connection: Connection, replayed: dict[str, Order]) -> Iterator[str]:
    seen = 0
    rows = connection.execution_options(yield_per=1000).execute(select(orders))
    for row in rows:
        seen += 1
        stored, wanted = order_from(row), replayed.get(row.id)
        if wanted is None:
            yield f"order {row.id} has no events"
        elif stored != wanted:
            yield f"order {row.id} differs from its events: {_difference(stored, wanted)}"
    if seen < len(replayed):
        yield f"{len(replayed) - seen} orders have events but no row"


def _difference(stored: Order, wanted: Order) -> str:
    names = [name for name in Order.__slots__ if getattr(stored, name) != getattr(wanted, name)]
    return ", ".join(f"{name} {getattr(wanted, name)} (not {getattr(stored, name)})" for name in names)


def _count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(trades)).scalar_one()
