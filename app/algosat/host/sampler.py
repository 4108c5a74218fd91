"""The sampler: a thread that reads the machine every five seconds and keeps the history.

Every web worker has one. The one that holds the lock reads; when its process ends, another takes the lock.
"""

from __future__ import annotations

import fcntl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from typing import Final

import structlog

from algosat.clock import ClockWatch
from algosat.host.history import RECENT, History, HistoryFiles, mean
from algosat.host.probe import Probe, Reading
from algosat.host.reports import with_reported

_EVERY: Final = 5.0  # seconds
_FIRST_WAIT: Final = 1.0  # seconds; a process that ends at once reads nothing
_STALE_AFTER: Final = 30.0  # seconds

_log = structlog.get_logger(__name__)


class Sampler:
    def __init__(self, runtime_directory: Path, read: Callable[[], Reading]) -> None:
        self._files = HistoryFiles(runtime_directory)
        self._lock_file = runtime_directory / "host.lock"
        self._read = read
        self._lock: TextIOWrapper | None = None  # held by this process
        self._recent: deque[Reading] = deque(maxlen=RECENT)
        self._minute: list[Reading] = []  # readings of the present minute
        self._clock_watch = ClockWatch()
        self.clock_offset = 0.0  # by how much the clock was set lately, in seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="host-sampler", daemon=True)

    @classmethod
    def of(cls, runtime_directory: Path, data_directory: Path) -> Sampler:
        """Return a sampler of this machine, and of the processes that other services report."""
        probe = Probe(data_directory)

        def read() -> Reading:
            reading = probe.read()
            return replace(reading, processes=with_reported(reading.processes, runtime_directory))

        return cls(runtime_directory, read)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def history(self) -> History:
        """Return the history of this server, whichever process keeps it."""
        return self._files.read()

    def step(self) -> None:
        """Look at the clock; take a reading if this process keeps the history."""
        self.clock_offset = self._clock_watch.offset()
        if self._lock is None:
            self._lock = _locked(self._lock_file)
        if self._lock is None:
            return
        reading = self._read()
        self._recent.append(reading)
        self._files.write_recent(tuple(self._recent))
        if self._minute and int(reading.at // 60) != int(self._minute[-1].at // 60):
            self._files.add_minute(mean(self._minute))
            self._minute = []
        self._minute.append(reading)

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while not self._stopping.wait(wait):
            wait = _EVERY
            try:
                self.step()
            except Exception as error:  # noqa: BLE001 - the thread must go on, whatever one reading met
                _log.warning("host_not_read", error=type(error).__name__, exc_info=error)


def silence(history: History, now: float | None = None) -> float | None:
    """Return the seconds since the last reading if they are too many; None if the history is kept."""
    latest = history.latest
    if latest is None:
        return None
    age = abs((time.time() if now is None else now) - latest.at)
    return age if age > _STALE_AFTER else None


def _locked(path: Path) -> TextIOWrapper | None:
    """Take the lock if it is free, and return the open file that holds it."""
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
