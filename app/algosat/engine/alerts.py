"""Alerts: conditions that need a person, recorded in the audit trail, the metrics and the log."""

from __future__ import annotations

import structlog

from algosat.errors import Severity
from algosat.monitoring import metrics
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.trading.desk import Desk

_log = structlog.get_logger(__name__)


def alert(desk: Desk, kind: str, subject: str, cause: Cause, detail: str) -> None:
    """Record an alert. `kind` is broker.overfill, broker.ghost, broker.not_found or risk.unpriced."""
    data = {"detail": detail}
    desk.writer.run(lambda connection: audit.append(connection, desk.clock(), kind, subject, cause, data))
    metrics.ERRORS.labels(kind, Severity.CRITICAL.value).inc()
    _log.critical(kind, subject=subject, detail=detail, correlation_id=cause.correlation_id)
