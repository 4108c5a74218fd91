"""The process of a strategy as its supervisor handles it: start, signals, watchdog pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psutil

from algosat.live.watchdog_pipe import FAILED, VARIABLE


class ChildProcess(Protocol):
    """A strategy's process."""

    pid: int
    failure: str | None  # the reason that it reported before it ended

    def has_pinged(self) -> bool:
        """Return True if the process has pinged since the last call."""

    def ended(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""

    def memory(self) -> int:
        """Return the resident memory in bytes."""

    def ask_to_stop(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


Launch = Callable[[str], ChildProcess]


def launcher(config_directory: Path) -> Launch:
    """Return a function that starts `algosat strategy run NAME` of this release."""

    def launch(name: str) -> ChildProcess:
        command = [sys.executable, "-m", "algosat.cli", "--config-dir", str(config_directory)]
        return StrategyProcess([*command, "strategy", "run", name])

    return launch


class StrategyProcess:
    """A `ChildProcess` of the operating system."""

    def __init__(self, command: list[str]) -> None:
        self.failure: str | None = None
        self._pipe, writing_end = os.pipe()
        os.set_blocking(self._pipe, False)
        os.set_blocking(writing_end, False)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program and a validated name
                command,
                pass_fds=(writing_end,),
                env={**os.environ, VARIABLE: str(writing_end)},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # signals of the terminal go to the supervisor only
            )
        finally:
            os.close(writing_end)
        self.pid = self._process.pid
        self._unread = b""

    def has_pinged(self) -> bool:
        try:
            received = os.read(self._pipe, 65_536)
        except BlockingIOError:
            return False
        *lines, self._unread = (self._unread + received).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace")
            if text.startswith(FAILED):
                self.failure = text.removeprefix(FAILED)
        return bool(lines)

    def ended(self) -> int | None:
        code = self._process.poll()
        if code is not None and self._pipe >= 0:
            self.has_pinged()  # reads the reason, if there is one
        return code

    def memory(self) -> int:
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:  # the process has just ended
            return 0

    def ask_to_stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
