"""How strategies are, as their supervisor last said."""

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
    "detail": "the supervisor does not run, or has hung: see the unit algosat-strategies.service",
}


def statuses(connection: Connection, now: datetime) -> Mapping[str, dict[str, Any]] | None:
    """By name; None when the supervisor has not been heard of lately."""
    heartbeat = heartbeats.read(connection, heartbeats.STRATEGIES)
    if heartbeat is None or abs(now - heartbeat.at) > _FRESH:
        return None
    told: dict[str, dict[str, Any]] = heartbeat.data["strategies"]
    return told


def status_of(definition: Definition, told: Mapping[str, dict[str, Any]] | None) -> dict[str, Any]:
    """State, and whatever else is known: pid, run, memory in bytes, crashes, detail."""
    if told is None:
        return _UNKNOWN if definition.wanted is Wanted.RUNNING else {"state": "stopped"}
    status = told.get(definition.name, {"state": "stopped"})
    if definition.failure:
        return {**status, "state": "failed", "detail": definition.failure}
    return status
