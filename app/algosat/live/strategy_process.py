"""A strategy's process as its supervisor holds it."""

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
    pid: int
    failure: str | None  # why it ended, in its own words

    def has_beaten(self) -> bool:
        """Whether it gave a sign of life since it was last asked."""

    def ended(self) -> int | None:
        """Its exit code once it has ended; negative: the signal that killed it."""

    def memory(self) -> int:
        """Bytes of real memory it has."""

    def ask_to_stop(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


Launch = Callable[[str], ChildProcess]


def launcher(config_directory: Path) -> Launch:
    """Starts `algosat strategy run NAME` of this very release."""

    def launch(name: str) -> ChildProcess:
        command = [sys.executable, "-m", "algosat.cli", "--config-dir", str(config_directory)]
        return StrategyProcess([*command, "strategy", "run", name])

    return launch


class StrategyProcess:
    def __init__(self, command: list[str]) -> None:
        self.failure: str | None = None
        self._pipe, beats = os.pipe()
        os.set_blocking(self._pipe, False)
        os.set_blocking(beats, False)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, and a name that was checked
                command,
                pass_fds=(beats,),
                env={**os.environ, VARIABLE: str(beats)},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # what is typed at the supervisor's terminal is for the supervisor
            )
        finally:
            os.close(beats)
        self.pid = self._process.pid
        self._unread = b""

    def has_beaten(self) -> bool:
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
            self.has_beaten()  # its last words
        return code

    def memory(self) -> int:
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:  # it has just ended
            return 0

    def ask_to_stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
