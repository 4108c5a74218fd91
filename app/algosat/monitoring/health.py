"""Health: the checks of all components, each run with a time-out, and the state that follows from them.

A check that hangs is reported as failed, and is run again only after it has returned: it costs one
thread, not one thread a request. While one request waits for checks, others get the findings before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

_log = structlog.get_logger(__name__)

_PATIENCE: Final = 2.0  # seconds until a check counts as failed
_RECENT: Final = 5.0  # seconds for which findings are shown while a request waits for newer ones


class State(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Finding:
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    vital: bool  # if it fails, the server is unhealthy; other failures only degrade it
    probe: Callable[[], Finding]
    keep_for: Callable[[], float]  # seconds a finding is good for


@dataclass(frozen=True, slots=True)
class Report:
    state: State
    findings: dict[str, Finding]


class Health:
    def __init__(self, checks: Sequence[Check], clock: Callable[[], float] = time.monotonic) -> None:
        self.checks = checks
        self._clock = clock
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._running: dict[str, Future[Finding]] = {}
        self._known: dict[str, tuple[float, Finding]] = {}
        self._last: Report | None = None
        self._last_at = 0.0

    def report(self) -> Report:
        last = self._last
        is_recent = last is not None and self._clock() < self._last_at + _RECENT
        if not self._lock.acquire(blocking=not is_recent):
            assert last is not None
            return last
        try:
            self._refresh()
            findings = {check.name: self._known[check.name][1] for check in self.checks}
            self._last, self._last_at = Report(self._state(findings), findings), self._clock()
            return self._last
        finally:
            self._lock.release()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _refresh(self) -> None:
        due = [check for check in self.checks if self._is_due(check)]
        if not due:
            return
        if self._pool is None:  # not before the first request: threads do not survive a fork
            self._pool = ThreadPoolExecutor(len(self.checks), thread_name_prefix="health")
        for check in due:
            if check.name not in self._running:
                self._running[check.name] = self._pool.submit(_probe, check)
        wait([self._running[check.name] for check in due], timeout=_PATIENCE)
        for check in due:
            finding = Finding(False, f"no answer within {_PATIENCE:g} s")
            if self._running[check.name].done():
                finding = self._running.pop(check.name).result()
            self._known[check.name] = (self._clock(), finding)

    def _is_due(self, check: Check) -> bool:
        known = self._known.get(check.name)
        if known is None:
            return True
        at, finding = known
        return self._clock() >= at + (check.keep_for() if finding.ok else 1.0)

    def _state(self, findings: dict[str, Finding]) -> State:
        failed = [check for check in self.checks if not findings[check.name].ok]
        if any(check.vital for check in failed):
            return State.UNHEALTHY
        return State.DEGRADED if failed else State.HEALTHY


def _probe(check: Check) -> Finding:
    try:
        return check.probe()
    except Exception as error:  # noqa: BLE001 - a check that raises is a finding, whatever it raised
        _log.warning("health_check_failed", check=check.name, exc_info=error)
        return Finding(False, f"the check failed with {type(error).__name__}: see the log")
