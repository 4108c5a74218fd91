"""Supervision of one strategy: start, stop and restart of its process. Times are monotonic seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from algosat.live.definitions import Definition, Wanted
from algosat.live.strategy_process import ChildProcess, Launch

_MIB: Final = 2**20
_SPARE_MB: Final = 128  # memory of the process without the strategy's own

CRASH_WINDOW: Final = 600.0  # older crashes do not count
CRASH_LIMIT: Final = 5  # crashes within the window, after which the strategy is given up
_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 60.0
WATCHDOG_SECONDS: Final = 30.0  # without a ping; longer than the store may delay a write
STOP_SECONDS: Final = 15.0  # to stop before the process is killed


class ProcessState(StrEnum):
    """The state of a supervised strategy."""

    STOPPED = "stopped"
    STARTING = "starting"  # its process has not pinged yet
    RUNNING = "running"
    STOPPING = "stopping"
    WAITING = "waiting"  # crashed; restarted after a delay
    FAILED = "failed"  # given up


@dataclass(slots=True)
class _Run:
    """A running process of the strategy."""

    child: ChildProcess
    name: str  # of the run: a new start or a new version is a new run
    memory_mb: int
    last_ping: float
    state: ProcessState = ProcessState.STARTING
    stop_by: float = 0.0
    killed_for: str | None = None


@dataclass(slots=True)
class Crashes:
    """The restart policy: the recent crashes of one run, and the delay before the next start."""

    at: list[float] = field(default_factory=list)

    def add(self, now: float) -> None:
        self.at = [each for each in self.at if now - each < CRASH_WINDOW] + [now]

    @property
    def are_too_many(self) -> bool:
        return len(self.at) >= CRASH_LIMIT

    @property
    def delay(self) -> float:
        """Return the delay before the next start, which doubles with each crash."""
        return float(min(_FIRST_DELAY * 2 ** (len(self.at) - 1), _LONGEST_DELAY))


class SupervisedStrategy:
    """A strategy under supervision. `on_crash` and `on_give_up` receive its definition and the reason."""

    def __init__(
        self,
        launch: Launch,
        on_crash: Callable[[Definition, str], None],
        on_give_up: Callable[[Definition, str], None],
    ) -> None:
        self._launch = launch
        self._on_crash = on_crash
        self._on_give_up = on_give_up
        self._run: _Run | None = None
        self._crashes = Crashes()
        self._crashed_run = ""
        self._start_at = 0.0
        self._detail = ""

    @property
    def is_alive(self) -> bool:
        return self._run is not None

    def step(self, definition: Definition | None, now: float) -> None:
        """Check the strategy once, and start or stop it. Without a definition, stop it."""
        wanted = definition if definition and definition.wanted is Wanted.RUNNING else None
        if self._run is not None:
            self._watch(self._run, wanted, definition, now)
        elif wanted is not None:
            self._start(wanted, now)

    def status(self, definition: Definition) -> dict[str, Any]:
        """Return state, crashes and, if known, pid, run, memory in bytes and detail."""
        status: dict[str, Any] = {"state": self._state(definition), "crashes": len(self._crashes.at)}
        if self._run is not None:
            status |= {"pid": self._run.child.pid, "run": self._run.name, "memory": self._run.child.memory()}
        if self._detail:
            status["detail"] = self._detail
        return status

    def _state(self, definition: Definition) -> ProcessState:
        if self._run is not None:
            return self._run.state
        if definition.failure:
            return ProcessState.FAILED
        return ProcessState.WAITING if definition.wanted is Wanted.RUNNING else ProcessState.STOPPED

    def _start(self, wanted: Definition, now: float) -> None:
        if wanted.run != self._crashed_run:
            self._crashes, self._start_at, self._detail = Crashes(), now, ""
        if now < self._start_at:
            return
        try:
            child = self._launch(wanted.name)
        except OSError as error:
            self._crashed(wanted, wanted.run, f"its process cannot be started: {error.strerror}", now)
            return
        memory = int(wanted.latest.parameters["memory_mb"]) + _SPARE_MB
        self._run = _Run(child, wanted.run, memory, last_ping=now)

    def _watch(self, run: _Run, wanted: Definition | None, definition: Definition | None, now: float) -> None:
        if run.child.has_pinged():
            run.last_ping = now
            if run.state is ProcessState.STARTING:
                run.state = ProcessState.RUNNING
        code = run.child.ended()
        if code is not None:
            run.child.close()
            self._run = None
            self._process_ended(run, definition, code, now)
        elif run.state is ProcessState.STOPPING:
            if now >= run.stop_by:
                run.child.kill()
        elif wanted is None or wanted.run != run.name:
            run.state, run.stop_by = ProcessState.STOPPING, now + STOP_SECONDS
            run.child.ask_to_stop()
        else:
            self._check(run, now)

    def _check(self, run: _Run, now: float) -> None:
        if now - run.last_ping >= WATCHDOG_SECONDS:
            run.killed_for = f"it did not respond for {WATCHDOG_SECONDS:g} s and was killed"
        elif (memory := run.child.memory()) > run.memory_mb * _MIB:
            run.killed_for = f"it took {memory // _MIB} MiB of memory and was killed"
        if run.killed_for:
            run.child.kill()

    def _process_ended(self, run: _Run, definition: Definition | None, code: int, now: float) -> None:
        if run.state is ProcessState.STOPPING or definition is None:
            self._detail = ""
            return
        reason = run.killed_for or run.child.failure or _describe(code)
        self._crashed(definition, run.name, reason, now)

    def _crashed(self, definition: Definition, run: str, reason: str, now: float) -> None:
        if run != self._crashed_run:
            self._crashes, self._crashed_run = Crashes(), run
        self._crashes.add(now)
        self._start_at, self._detail = now + self._crashes.delay, reason
        self._on_crash(definition, reason)
        if self._crashes.are_too_many:
            self._on_give_up(definition, f"{len(self._crashes.at)} crashes, the last: {reason}")


def _describe(code: int) -> str:
    if code < 0:
        return f"it was killed by signal {-code}"
    return "it ended without an error" if code == 0 else f"it ended with exit code {code}; see the log"
