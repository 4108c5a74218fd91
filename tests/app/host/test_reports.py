from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from algosat.host.probe import ProcessReading
from algosat.host.reports import ProcessReporter, reporting, with_reported
from algosat.host.sampler import Sampler
from tests.app.host.readings import process

ENGINE, WORKER = process("engine", pid=7), process("api-worker", pid=8)


def report_of(directory: Path, *processes: ProcessReading) -> Path:
    """Write the report of another service."""
    ProcessReporter(directory, lambda: processes).step()
    return (directory / f"host-processes-{os.getpid()}.json").rename(directory / "host-processes-1.json")


def test_history_has_the_processes_that_the_reader_may_not_see(tmp_path: Path) -> None:
    report_of(tmp_path, ENGINE)
    assert with_reported([WORKER], tmp_path) == (WORKER, ENGINE)


def test_process_that_is_seen_and_reported_counts_once(tmp_path: Path) -> None:
    report_of(tmp_path, process("engine", pid=7, threads=99))
    assert with_reported([ENGINE], tmp_path) == (ENGINE,)


def test_report_of_a_service_that_has_ended_no_longer_counts(tmp_path: Path) -> None:
    file = report_of(tmp_path, ENGINE)
    assert with_reported([], tmp_path, time.time() + 15) == (ENGINE,)
    assert with_reported([], tmp_path, time.time() + 30) == ()
    assert file.exists()
    assert with_reported([], tmp_path, time.time() + 7200) == ()
    assert not file.exists()


@pytest.mark.parametrize("content", ["", "[{", '[{"moon": 1}]'])
def test_report_that_cannot_be_read_is_left_out(tmp_path: Path, content: str) -> None:
    report_of(tmp_path).write_text(content)
    assert with_reported([WORKER], tmp_path) == (WORKER,)


def test_service_reports_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("algosat.host.reports._EVERY", 0.001)
    failures = iter([True])

    def read() -> Iterator[ProcessReading]:
        if next(failures, False):
            raise OSError("no such process")
        yield ENGINE

    monkeypatch.setattr("algosat.host.probe.Probe.processes", lambda _self: read())
    deadline = time.monotonic() + 60
    with reporting(tmp_path, tmp_path):
        while with_reported([], tmp_path) != (ENGINE,):
            assert time.monotonic() < deadline
            time.sleep(0.001)
    assert list(tmp_path.iterdir()) == []


def test_sampler_of_the_machine_includes_the_reports(tmp_path: Path) -> None:
    report_of(tmp_path, ENGINE)
    sampler = Sampler.of(tmp_path, tmp_path)
    sampler.step()
    latest = sampler.history().latest
    sampler.close()
    assert latest is not None
    assert ENGINE in latest.processes
