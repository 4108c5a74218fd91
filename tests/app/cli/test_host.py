from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from algosat.cli import cli
from algosat.host.history import HistoryFiles
from algosat.store import audit
from algosat.store.database import Database
from tests.app.builders import algosat_data, write_configuration
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


def host(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--config-dir", str(directory), "host", *arguments])


@pytest.fixture
def store(directory: Path, fresh_store: Path) -> Path:
    """The configuration directory of a server with a store and a file that may go."""
    shutil.copy(fresh_store, directory / "data" / "algosat.db")
    cached = directory / "data" / "cache" / "old"
    cached.parent.mkdir()
    cached.write_text("cached")
    os.utime(cached, (1e9, 1e9))
    return directory


def audited(directory: Path) -> list[tuple[str, dict[str, Any]]]:
    database = Database(f"sqlite:///{directory / 'data' / 'algosat.db'}")
    with database.read() as connection:
        found = [(each.kind, each.data) for each in audit.all_events(connection)]
    database.close()
    return [(kind, data) for kind, data in found if kind.startswith("host.")]


@pytest.mark.sqlite
def test_cleaning_is_audited_and_can_be_undone(store: Path) -> None:
    cached = store / "data" / "cache" / "old"
    assert host(store, "clean", "--dry-run").stdout == f"cache\t6\t{cached}\n"
    assert cached.exists()
    assert audited(store) == []
    done = host(store, "clean")
    assert done.exit_code == 0, done.output
    assert not cached.exists()
    assert audited(store) == [("host.cleaned", {"cache": {"bytes": 6, "files": 1}})]
    removal = host(store, "removed").stdout.split("\t")[0]
    assert host(store, "restore", removal).stdout == "1 files are back\n"
    assert cached.read_text() == "cached"
    assert audited(store)[1:] == [("host.restored", {"files": 1, "kept": 0})]


@pytest.mark.sqlite
def test_nothing_goes_that_cannot_be_audited(store: Path) -> None:
    (store / "data" / "algosat.db").write_bytes(b"")
    assert host(store, "clean").exit_code != 0
    assert (store / "data" / "cache" / "old").exists()


@pytest.mark.sqlite
def test_cleaning_is_off_by_its_switch(store: Path) -> None:
    assert host(store, "clean", "--check").exit_code == 0
    write_configuration(store, algosat_data(store, vps__optimization_enabled=False))
    assert host(store, "clean", "--check").exit_code == 1
    assert host(store, "clean").exit_code == 0
    assert (store / "data" / "cache" / "old").exists()
