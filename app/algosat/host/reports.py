"""Reports of processes: what each service sees of its own processes, for the one that keeps the history.

The sandbox of a service hides the processes of all other services, although they have the same user.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import orjson
import structlog

from algosat.host.probe import Probe, ProcessReading

_EVERY: Final = 5.0  # seconds
_STALE_AFTER: Final = 20.0  # seconds
_REMOVED_AFTER: Final = 3600.0  # seconds, after a process that was killed
_PATTERN: Final = "host-processes-*.json"

_log = structlog.get_logger(__name__)


@contextmanager
def reporting(runtime_directory: Path, data_directory: Path) -> Iterator[None]:
    """Report the processes of this service while the block runs."""
    reporter = ProcessReporter(runtime_directory, Probe(data_directory).processes)
    reporter.start()
    try:
        yield
    finally:
        reporter.close()


class ProcessReporter:
    """A thread that writes the figures of a service's processes to a file of its own."""

    def __init__(self, runtime_directory: Path, read: Callable[[], Iterable[ProcessReading]]) -> None:
        self._file = runtime_directory / _PATTERN.replace("*", str(os.getpid()))
        self._read = read
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="process-reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread and remove the file."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_EVERY)
        self._file.unlink(missing_ok=True)

    def step(self) -> None:
        draft = self._file.with_suffix(".draft")
        draft.write_bytes(orjson.dumps([asdict(each) for each in self._read()]))
        draft.rename(self._file)

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY):
            try:
                self.step()
            except Exception as error:  # noqa: BLE001 - a report is never worth more than the service
                _log.warning("processes_not_reported", error=type(error).__name__, exc_info=error)


def with_reported(
    seen: Iterable[ProcessReading], runtime_directory: Path, now: float | None = None
) -> tuple[ProcessReading, ...]:
    """Return the processes that the caller has seen, and those that other services have reported lately."""
    at = time.time() if now is None else now
    found = {(each.pid, each.started_at): each for each in seen}
    for file in sorted(runtime_directory.glob(_PATTERN)):
        for process in _reported(file, at):
            found.setdefault((process.pid, process.started_at), process)
    return tuple(sorted(found.values(), key=lambda each: (each.name, each.pid)))


def _reported(file: Path, now: float) -> list[ProcessReading]:
    try:
        age = abs(now - file.stat().st_mtime)
        if age > _REMOVED_AFTER:
            file.unlink(missing_ok=True)
        if age > _STALE_AFTER:
            return []
        return [ProcessReading(**each) for each in orjson.loads(file.read_bytes())]
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return []
