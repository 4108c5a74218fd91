"""The status of each strategy, as the supervisor last reported it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from algosat.live.definitions import Definition, Wanted
from algosat.store import heartbeats

_FRESH: Final = timedelta(seconds=10)
_UNKNOWN: Final = {
    "state": "unsupervised",
    "detail": "the supervisor is not running or hangs: see the unit algosat-strategies.service",
}


def statuses(connection: Connection, now: datetime) -> Mapping[str, dict[str, Any]] | None:
    """Return the reported status of each strategy by name; None without a heartbeat in the last 10 s."""
    heartbeat = heartbeats.read(connection, heartbeats.STRATEGIES)
    if heartbeat is None or abs(now - heartbeat.at) > _FRESH:
        return None
    reported: dict[str, dict[str, Any]] = heartbeat.data["strategies"]
    return reported


def status_of(definition: Definition, reported: Mapping[str, dict[str, Any]] | None) -> dict[str, Any]:
    """Return the state and, if known, pid, run, memory in bytes, crashes and detail."""
    if reported is None:
        return _UNKNOWN if definition.wanted is Wanted.RUNNING else {"state": "stopped"}
    status = reported.get(definition.name, {"state": "stopped"})
    if definition.failure:
        return {**status, "state": "failed", "detail": definition.failure}
    return status
