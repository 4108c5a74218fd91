from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from algosat.cli import cli
from algosat.host.history import HistoryFiles
from tests.app.builders import write_configuration
from tests.app.host.readings import process, reading


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_configuration(tmp_path)


def report(directory: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["--config-dir", str(directory), "host", "report", *arguments])
    assert result.exit_code == 0, result.output
    return result


def keep(directory: Path) -> None:
    files = HistoryFiles(directory / "run")
    engine = process("engine", pid=77, started_at=1_795_000_000.0, resident_bytes=64 << 20)
    for minute in range(3):
        files.add_minute(reading(at=1_795_221_000.0 + 60 * minute, network_sent_bytes=minute * 600_000))
    files.write_recent([reading(at=1_795_221_180.0, memory_percent=91.0, processes=(engine,))])


def test_report_shows_machine_processes_history_and_advice(directory: Path) -> None:
    keep(directory)
    text = report(directory).stdout
    assert "memory 91 % of 4096 MiB" in text
    assert "engine\t77\t64\t20\t9\t1\t2026-11-18 11:06:40" in text
    assert "2026-11-21 00:31:00\t5\t0.1\t25\t0\t25\t0 B\t0 B\t0 B\t10 KiB" in text
    assert "- warning: 91 % of the memory is in use, the threshold is 85 %." in text
    assert "[algosat_api_workers]" in text


def test_report_as_json_has_the_whole_history(directory: Path) -> None:
    keep(directory)
    found = json.loads(report(directory, "--json").stdout)
    assert len(found["minutes"]) == 3
    assert found["recent"][0]["processes"][0]["name"] == "engine"
    assert found["advice"][0]["subject"] == "memory"


def test_report_without_a_running_api_reads_the_machine_now(directory: Path) -> None:
    assert "processors" in report(directory).stdout
