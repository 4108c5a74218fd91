"""The real processes: supervisor and strategy, as the unit starts them."""

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
        told = status.statuses(connection, clock.now())
        return status.status_of(definitions.find(connection, "trend"), told)


def until(desk: Desk, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    told: dict[str, Any] = {}

    def held() -> bool:
        told.clear()
        told.update(status_of(desk))
        return holds(told)

    wait_for(held)
    return told


def test_a_killed_strategy_is_started_again_and_all_end_with_their_supervisor(
    desk: Desk, supervise: Supervise
) -> None:
    manage.define(desk, "trend", "moving-average-crossover", PARAMETERS, CAUSE)
    manage.start(desk, "trend", CAUSE)
    supervisor = supervise()
    first = until(desk, lambda told: told["state"] == "running")
    os.kill(first["pid"], signal.SIGKILL)
    second = until(desk, lambda told: told["state"] == "running" and told["pid"] != first["pid"])
    assert second["crashes"] == 1
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(PATIENCE) == 0
    assert not psutil.pid_exists(second["pid"])
