"""Real processes of supervisor and strategy, started as the unit starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from algosat import clock
from algosat.live import definitions, manage, status
from algosat.store.audit import Cause
from algosat.trading.desk import Desk
from tests.app.events import PATIENCE, wait_for

pytestmark = pytest.mark.slow

CAUSE = Cause("anna", "correlation-1")
PARAMETERS = {"symbols": ["ALPHA-EQ"], "quantity": "10"}
Supervise = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def supervise(directory: Path) -> Iterator[Supervise]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "algosat.cli",
            "--config-dir",
            str(directory),
            "strategy",
            "supervise",
        ]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def status_of(desk: Desk) -> dict[str, Any]:
    with desk.database.read() as connection:
        reported = status.statuses(connection, clock.now())
        return status.status_of(definitions.find(connection, "trend"), reported)


def until(desk: Desk, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    latest: dict[str, Any] = {}

    def check() -> bool:
        latest.clear()
        latest.update(status_of(desk))
        return holds(latest)

    wait_for(check)
    return latest


def test_killed_strategy_is_restarted_and_ends_with_its_supervisor(desk: Desk, supervise: Supervise) -> None:
    manage.define(desk, "trend", "moving-average-crossover", PARAMETERS, CAUSE)
    manage.start(desk, "trend", CAUSE)
    supervisor = supervise()
    first = until(desk, lambda status: status["state"] == "running")
    os.kill(first["pid"], signal.SIGKILL)
    second = until(desk, lambda status: status["state"] == "running" and status["pid"] != first["pid"])
    assert second["crashes"] == 1
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(PATIENCE) == 0
    assert not psutil.pid_exists(second["pid"])
