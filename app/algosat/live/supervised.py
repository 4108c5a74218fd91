"""One strategy under supervision: from what is wanted and what its process does to what is done about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from algosat.live import restart_policy
from algosat.live.definitions import Definition, Wanted
from algosat.live.restart_policy import Crashes
from algosat.live.strategy_process import ChildProcess, Launch

_MIB: Final = 2**20
_SPARE_MB: Final = 128  # what the process needs before the strategy's own memory begins


class State(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"  # its process has not given a sign of life yet
    RUNNING = "running"
    STOPPING = "stopping"
    WAITING = "waiting"  # crashed; started again in a while
    FAILED = "failed"  # given up


@dataclass(slots=True)
class _Run:
    """A process of the strategy."""

    child: ChildProcess
    name: str  # of the run: another start or another version is another one
    memory_mb: int
    last_beat: float
    state: State = State.STARTING
    stop_by: float = 0.0
    killed_for: str | None = None


class SupervisedStrategy:
    """`on_crash` and `on_give_up` are told the definition and the reason."""

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
        """Look after it once. None: it is not wanted at all, the supervisor is going."""
        wanted = definition if definition and definition.wanted is Wanted.RUNNING else None
        if self._run is not None:
            self._watch(self._run, wanted, definition, now)
        elif wanted is not None:
            self._start(wanted, now)

    def status(self, definition: Definition) -> dict[str, Any]:
        """What anybody may know of it."""
        told: dict[str, Any] = {"state": self._state(definition), "crashes": len(self._crashes.at)}
        if self._run is not None:
            told |= {"pid": self._run.child.pid, "run": self._run.name, "memory": self._run.child.memory()}
        if self._detail:
            told["detail"] = self._detail
        return told

    def _state(self, definition: Definition) -> State:
        if self._run is not None:
            return self._run.state
        if definition.failure:
            return State.FAILED
        return State.WAITING if definition.wanted is Wanted.RUNNING else State.STOPPED

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
        self._run = _Run(child, wanted.run, memory, last_beat=now)

    def _watch(self, run: _Run, wanted: Definition | None, definition: Definition | None, now: float) -> None:
        if run.child.has_beaten():
            run.last_beat = now
            if run.state is State.STARTING:
                run.state = State.RUNNING
        code = run.child.ended()
        if code is not None:
            run.child.close()
            self._run = None
            self._after(run, definition, code, now)
        elif run.state is State.STOPPING:
            if now >= run.stop_by:
                run.child.kill()
        elif wanted is None or wanted.run != run.name:
            run.state, run.stop_by = State.STOPPING, now + restart_policy.STOP_SECONDS
            run.child.ask_to_stop()
        else:
            self._check(run, now)

    def _check(self, run: _Run, now: float) -> None:
        if now - run.last_beat >= restart_policy.PATIENCE:
            run.killed_for = f"it gave no sign of life for {restart_policy.PATIENCE:g} s and was killed"
        elif (memory := run.child.memory()) > run.memory_mb * _MIB:
            run.killed_for = f"it took {memory // _MIB} MiB of memory and was killed"
        if run.killed_for:
            run.child.kill()

    def _after(self, run: _Run, definition: Definition | None, code: int, now: float) -> None:
        if run.state is State.STOPPING or definition is None:
            self._detail = ""
            return
        reason = run.killed_for or run.child.failure or _words(code)
        self._crashed(definition, run.name, reason, now)

    def _crashed(self, definition: Definition, run: str, reason: str, now: float) -> None:
        if run != self._crashed_run:
            self._crashes, self._crashed_run = Crashes(), run
        self._crashes.add(now)
        self._start_at, self._detail = now + self._crashes.delay, reason
        self._on_crash(definition, reason)
        if self._crashes.are_too_many:
            self._on_give_up(definition, f"{len(self._crashes.at)} crashes, the last: {reason}")


def _words(code: int) -> str:
    if code < 0:
        return f"it was killed by signal {-code}"
    return "it ended by itself" if code == 0 else f"it ended with exit code {code}; the log says why"
