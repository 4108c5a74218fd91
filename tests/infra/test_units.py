"""The units of Algosat, rendered: restarts, watchdogs, and which process is given up first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict

import pytest

from tests.infra.rendering import server
from tools.paths import ROOT

UNITS = ROOT / "templates" / "etc" / "systemd" / "system"
ENGINE, API, STRATEGIES = "algosat-engine.service", "algosat.service", "algosat-strategies.service"
SERVICES = sorted(file.stem for file in UNITS.glob("*.service.j2") if "Type=notify" in file.read_text())
ONE_SHOT = sorted(file.stem for file in UNITS.glob("*.service.j2") if "Type=oneshot" in file.read_text())
THREADS, MIB = 4, 2**20
# Checks a password in each of several threads that go on, and prints by how many bytes the process grew.
LOGINS = f"""
import threading
import psutil
from algosat.security.passwords import Passwords

passwords, checked, end = Passwords(), threading.Barrier({THREADS} + 1), threading.Event()
stored = passwords.hash("a long and unique password")

def log_in():
    passwords.fits(stored, "a long and unique password")
    checked.wait()
    end.wait()

before = psutil.Process().memory_info().rss
for _ in range({THREADS}):
    threading.Thread(target=log_in, daemon=True).start()
checked.wait()
print(psutil.Process().memory_info().rss - before)
"""


def settings(unit: str) -> dict[str, list[str]]:
    """Return the values of each setting of a unit."""
    found = defaultdict(list)
    for line in server("production").render(UNITS / f"{unit}.j2").splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not name.startswith("#"):
            found[name].append(value)
    return found


def environment(unit: str) -> dict[str, str]:
    pairs = (value.strip('"').split("=", 1) for value in settings(unit)["Environment"])
    return dict(pairs)


def test_every_service_is_tested() -> None:
    assert {ENGINE, API, STRATEGIES} <= set(SERVICES)


@pytest.mark.parametrize("unit", SERVICES)
def test_service_that_hangs_is_restarted(unit: str) -> None:
    assert settings(unit)["WatchdogSec"] == ["30"]


@pytest.mark.parametrize("unit", SERVICES)
def test_service_that_cannot_start_is_not_restarted_and_is_counted_at_once(unit: str) -> None:
    assert settings(unit)["RestartPreventExitStatus"] == ["78"]
    assert settings(unit)["OnFailure"] == ["failed-units.service"]


@pytest.mark.parametrize("unit", SERVICES)
def test_reload_checks_the_files_before_the_service_reads_them(unit: str) -> None:
    check, signal = settings(unit)["ExecReload"]
    assert check.endswith("/bin/algosat config check")
    assert "kill -HUP $MAINPID" in signal


def test_reload_of_the_api_reloads_all_services() -> None:
    (propagated,) = settings(API)["PropagatesReloadTo"]
    assert {API, *propagated.split()} == set(SERVICES)


def test_engine_is_killed_last_for_memory_and_strategies_first() -> None:
    order = sorted([ENGINE, API, STRATEGIES], key=lambda unit: int(settings(unit)["OOMScoreAdjust"][0]))
    assert order == [ENGINE, API, STRATEGIES]


@pytest.mark.parametrize("unit", [API, STRATEGIES])
def test_process_killed_for_memory_does_not_end_the_others_of_its_unit(unit: str) -> None:
    assert settings(unit)["OOMPolicy"] == ["continue"]


def test_processor_goes_to_the_engine_first_and_to_strategies_last() -> None:
    order = sorted([ENGINE, API, STRATEGIES], key=lambda unit: -int(settings(unit)["CPUWeight"][0]))
    assert order == [ENGINE, API, STRATEGIES]


@pytest.mark.parametrize("unit", ONE_SHOT)
def test_job_yields_processor_disk_and_memory_to_the_services(unit: str) -> None:
    job = settings(unit)
    assert int(job["CPUWeight"][0]) < min(int(settings(each)["CPUWeight"][0]) for each in SERVICES)
    assert job["IOSchedulingClass"] == ["idle"]
    assert int(job["OOMScoreAdjust"][0]) > max(int(settings(each)["OOMScoreAdjust"][0]) for each in SERVICES)


def test_memory_of_a_login_is_returned() -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment(API)}
    done = subprocess.run(
        [sys.executable, "-c", LOGINS], env=variables, capture_output=True, text=True, check=True
    )
    # Each thread would keep 19 MiB.
    assert int(done.stdout) < 19 * MIB
