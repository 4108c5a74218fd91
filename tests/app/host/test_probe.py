from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from algosat.host.probe import Probe, name_of
from tests.app.events import wait_for


def test_reading_of_this_machine_is_plausible(tmp_path: Path) -> None:
    reading = Probe(tmp_path).read()
    assert reading.cpu_count >= 1
    assert 0 < reading.memory_available <= reading.memory_total
    assert 0 < reading.disk_free <= reading.disk_total
    assert all(0 <= percent <= 100 for percent in (reading.memory_percent, reading.disk_percent))
    assert 0 <= reading.inodes_percent <= 100
    assert 0 < reading.descriptors_percent <= 100
    assert reading.threads >= reading.process_count


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/opt/algosat/current/bin/python /opt/algosat/current/bin/algosat serve", "api"),
        ("python -m algosat --config-dir /etc/x engine run", "engine"),
        ("python -m algosat engine status", None),
        ("python -m algosat.cli --config-dir /x strategy run trend", "strategy-trend"),
        ("python /usr/bin/algosat strategy supervise", "strategies"),
        ("python /usr/bin/algosat strategy list", None),
        ("/usr/bin/vi /etc/algosat", None),
        ("grep -r serve .", None),
        ("", None),
    ],
)
def test_process_is_named_by_its_command(command: str, name: str | None) -> None:
    assert name_of(command.split()) == name


def test_process_of_algosat_is_read_and_others_are_not(tmp_path: Path) -> None:
    probe, program = Probe(tmp_path), tmp_path / "algosat"
    program.write_text("import sys; print(flush=True); sys.stdin.read()")
    command = [sys.executable, str(program), "engine", "run"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = {each.pid: each for each in probe.read().processes}
        assert found[child.pid].name == "engine"
        assert found[child.pid].open_fds >= 3
        assert found[child.pid].resident_bytes > 1 << 20
        child.communicate()
    command.extend(["--config-dir", "/etc/of-another-server"])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert other.pid not in {each.pid for each in probe.read().processes}
        other.communicate()
    wait_for(lambda: child.pid not in {each.pid for each in probe.read().processes})
