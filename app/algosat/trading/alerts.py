"""Alerts: rows about conditions and events that need a person, written in the unit of work that finds them.

The metric and the log line of an alert follow after the commit.
"""

from __future__ import annotations

from typing import Any, Final

import structlog
from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from algosat.domain.alert_kinds import AlertKind, Severity
from algosat.errors import NotFound
from algosat.monitoring import metrics
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.tables import alerts
from algosat.store.writer import after_commit
from algosat.trading.desk import Desk

ACKNOWLEDGED: Final = "alert.acknowledged"  # kinds of events in the audit trail
CLOSED: Final = "alert.closed"

_log = structlog.get_logger(__name__)

_IS_OPEN = alerts.c.closed_at.is_(None)
_IS_OF_KIND = (alerts.c.account == bindparam("account"), alerts.c.kind == bindparam("kind"))
_OPEN = Prepared(select(alerts).where(*_IS_OF_KIND, alerts.c.subject == bindparam("subject"), _IS_OPEN))
_OPEN_SUBJECTS = Prepared(select(alerts.c.subject).where(*_IS_OF_KIND, _IS_OPEN))
_NUMBERS = Prepared(select(alerts.c.kind, func.count()).where(_IS_OPEN).group_by(alerts.c.kind))


def open_alert(
    connection: Connection, desk: Desk, kind: AlertKind, subject: str, cause: Cause, detail: str
) -> bool:
    """Open an alert, unless one of this kind is open for the subject; then only its detail is renewed.

    If the alert is an event (a kind that does not close itself) and was acknowledged, the same detail does
    not open it again. Returns whether an alert was opened.
    """
    known = _OPEN.first(connection, account=desk.account, kind=kind.value, subject=subject)
    if known is not None:
        if known.detail != detail:
            connection.execute(update(alerts).where(alerts.c.id == known.id).values(detail=detail))
        return False
    if not kind.closes_itself and _was_opened(connection, desk, kind, subject, detail):
        return False
    now = desk.clock()
    connection.execute(
        insert(alerts),
        {
            "account": desk.account,
            "kind": kind.value,
            "severity": kind.severity.value,
            "subject": subject,
            "detail": detail,
            "correlation_id": cause.correlation_id,
            "opened_at": now,
        },
    )
    audit.append(connection, now, kind, subject, cause, {"detail": detail})
    after_commit(connection, lambda: _announce(kind, subject, cause, detail))
    return True


def close_alert(connection: Connection, desk: Desk, kind: AlertKind, subject: str, cause: Cause) -> bool:
    """Close the open alert of this kind and subject. Returns whether there was one."""
    known = _OPEN.first(connection, account=desk.account, kind=kind.value, subject=subject)
    if known is None:
        return False
    _close(connection, desk, known, cause)
    return True


def acknowledge(connection: Connection, desk: Desk, alert_id: int, cause: Cause) -> Row[Any]:
    """Acknowledge an alert and return its row. Only the first acknowledgement counts.

    An event closes with its acknowledgement; a condition stays open until it is over. Raises NotFound.
    """
    found = select(alerts).where(alerts.c.id == alert_id)
    row = connection.execute(found).one_or_none()
    if row is None:
        raise NotFound(f"there is no alert {alert_id}")
    if row.acknowledged_at is None:
        now = desk.clock()
        values = {"acknowledged_at": now, "acknowledged_by": cause.actor}
        connection.execute(update(alerts).where(alerts.c.id == alert_id).values(values))
        data = {"id": alert_id, "kind": row.kind}
        audit.append(connection, now, ACKNOWLEDGED, row.subject, cause, data)
        if row.closed_at is None and not _closes_itself(row.kind):
            _close(connection, desk, row, cause)
    return connection.execute(found).one()


def open_subjects(connection: Connection, desk: Desk, kind: AlertKind) -> set[str]:
    """Return the subjects that have an open alert of this kind."""
    return {row.subject for row in _OPEN_SUBJECTS.each(connection, account=desk.account, kind=kind.value)}


def open_detail(connection: Connection, desk: Desk, kind: AlertKind, subject: str) -> str | None:
    """Return the detail of the open alert of this kind and subject; None if there is none."""
    known = _OPEN.first(connection, account=desk.account, kind=kind.value, subject=subject)
    return None if known is None else known.detail


def numbers_open(connection: Connection) -> dict[AlertKind, int]:
    """Return how many alerts of each kind are open. A kind that only another release knows is left out."""
    found = dict(_NUMBERS.all(connection))
    return {kind: found.get(kind.value, 0) for kind in AlertKind}


def _was_opened(connection: Connection, desk: Desk, kind: AlertKind, subject: str, detail: str) -> bool:
    statement = select(alerts.c.id).where(
        alerts.c.account == desk.account,
        alerts.c.kind == kind.value,
        alerts.c.subject == subject,
        alerts.c.detail == detail,
    )
    return connection.execute(statement.limit(1)).first() is not None


def _closes_itself(kind: str) -> bool:
    """Return whether alerts of the kind are conditions. Those of another release's kinds count as events."""
    return any(each.closes_itself for each in AlertKind if each.value == kind)


def _close(connection: Connection, desk: Desk, row: Any, cause: Cause) -> None:
    now = desk.clock()
    connection.execute(update(alerts).where(alerts.c.id == row.id).values(closed_at=now))
    audit.append(connection, now, CLOSED, row.subject, cause, {"id": row.id, "kind": row.kind})
    kind, subject = row.kind, row.subject
    after_commit(
        connection,
        lambda: _log.info(CLOSED, kind=kind, subject=subject, correlation_id=cause.correlation_id),
    )


def _announce(kind: AlertKind, subject: str, cause: Cause, detail: str) -> None:
    """Count and log an alert that is on disk."""
    metrics.ERRORS.labels(kind.value, kind.severity.value).inc()
    log = _log.critical if kind.severity is Severity.CRITICAL else _log.warning
    log(kind.value, subject=subject, detail=detail, correlation_id=cause.correlation_id)
