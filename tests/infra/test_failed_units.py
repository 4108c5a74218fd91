"""The program that reports units which failed or keep restarting, with a systemctl that a test controls."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.infra.rendering import server
from tools.paths import ROOT

PROGRAM = ROOT / "roles" / "common" / "templates" / "usr" / "local" / "sbin" / "failed-units.j2"
SYSTEMCTL = """#!/bin/sh
case $1 in
list-units) cat {0}/failed ;;
show) cat {0}/shown ;;
esac
"""
# Drops the change of the user, which needs root.
SETPRIV = """#!/bin/sh
while [ "$1" != sh ]; do shift; done
exec "$@"
"""


class Machine:
    """A machine whose units have the given states and numbers of restarts."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.report = directory, directory / "reports" / "units.prom"
        self.report.parent.mkdir()
        program = server("staging").render(
            PROGRAM, common_metrics_file=str(self.report), common_metrics_prefix="x_"
        )
        (directory / "failed-units").write_text(program)
        for name, text in (("systemctl", SYSTEMCTL.format(directory)), ("setpriv", SETPRIV)):
            (directory / name).write_text(text)
            (directory / name).chmod(0o755)

    def metrics(self, failed: str = "", **restarts: int) -> list[str]:
        """Run the program. Returns the lines of units."""
        (self.directory / "failed").write_text(failed)
        shown = [f"Id={unit}.service\nNRestarts={number}\n" for unit, number in restarts.items()]
        (self.directory / "shown").write_text("\n".join(shown))
        path = f"{self.directory}:{os.environ['PATH']}"
        subprocess.run(
            ["sh", str(self.directory / "failed-units")], env={**os.environ, "PATH": path}, check=True
        )
        return [line for line in self.report.read_text().splitlines() if line.startswith("x_unit_")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def restarting(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("x_unit_restarting")]


def test_failed_unit_is_named(machine: Machine) -> None:
    lines = machine.metrics("some.service loaded failed failed Some service")
    assert lines == ['x_unit_failed{unit="some.service"} 1']


def test_restarts_of_each_service_are_counted(machine: Machine) -> None:
    lines = machine.metrics(first=2, second=0, third=1)
    assert lines == ['x_unit_restarts{unit="first.service"} 2', 'x_unit_restarts{unit="third.service"} 1']


def test_three_restarts_between_two_checks_are_reported(machine: Machine) -> None:
    assert restarting(machine.metrics(first=2)) == []
    assert restarting(machine.metrics(first=12)) == ['x_unit_restarting{unit="first.service"} 1']
    assert restarting(machine.metrics(first=12)) == []


def test_count_that_began_anew_is_compared_with_zero(machine: Machine) -> None:
    machine.metrics(first=40)
    assert restarting(machine.metrics(first=2)) == []
    machine.metrics(first=40)
    assert restarting(machine.metrics(first=3)) == ['x_unit_restarting{unit="first.service"} 1']


def test_unit_with_a_backslash_in_its_name_is_escaped(machine: Machine) -> None:
    name = "dev-disk\\x2d1"
    escaped = name.replace("\\", "\\\\")
    assert machine.metrics("", **{name: 1}) == [f'x_unit_restarts{{unit="{escaped}.service"}} 1']
    assert restarting(machine.metrics("", **{name: 4})) == [
        f'x_unit_restarting{{unit="{escaped}.service"}} 1'
    ]
    assert restarting(machine.metrics("", **{name: 5})) == []


def test_pipe_or_device_in_place_of_the_report_holds_nothing_up(machine: Machine) -> None:
    os.mkfifo(machine.report)
    assert machine.metrics(first=1) == ['x_unit_restarts{unit="first.service"} 1']
    machine.report.unlink()
    machine.report.symlink_to("/dev/zero")
    assert machine.metrics(first=2) == ['x_unit_restarts{unit="first.service"} 2']
    assert machine.report.is_file()
    assert not machine.report.is_symlink()
