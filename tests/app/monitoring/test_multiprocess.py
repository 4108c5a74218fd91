from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from algosat.monitoring import multiprocess

COUNT = """
import sys
from pathlib import Path
from algosat.monitoring import multiprocess
multiprocess.share(Path(sys.argv[1]))
from algosat.monitoring import exposition, metrics
metrics.orders("accepted", "paper", "PAPER").inc(int(sys.argv[2]))
metrics.order_stage("send").observe(0.02)
print(exposition.generate("", [])[0])
"""
NEVER = 99_000_000  # above every process id
KEY = mmap_key("algosat_x_total", "algosat_x_total", ["code"], ["a"], "X.")


class Killed(BaseException):
    """The process was killed."""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "metrics"
    directory.mkdir()
    monkeypatch.setenv(multiprocess.VARIABLE, str(directory))
    return directory


def counted(directory: Path, value: float, number: int = 0, kind: str = "counter") -> Path:
    """Write the file of a process that has ended; it appears as a whole."""
    path = directory / f"{kind}_{NEVER + number}.db"
    draft = path.with_suffix(".draft")
    values = MmapedDict(str(draft))  # type: ignore[no-untyped-call]
    values.write_value(KEY, value, 0.0)  # type: ignore[no-untyped-call]
    values.close()  # type: ignore[no-untyped-call]
    draft.rename(path)
    return path


def total(directory: Path) -> float:
    def read() -> float:
        collector = MultiProcessCollector(None, str(directory))  # type: ignore[no-untyped-call]
        families = list(collector.collect())  # type: ignore[no-untyped-call]
        return float(sum(sample.value for family in families for sample in family.samples))

    return multiprocess.read_consistently(read)


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} - {"lock"}


def test_counts_of_ended_processes_are_kept_in_one_file(directory: Path) -> None:
    for number in range(50):
        counted(directory, 2, number)
    multiprocess.fold()
    assert files(directory) == {"counter_folded.db"}
    assert total(directory) == 100
    counted(directory, 5)
    multiprocess.fold()
    assert files(directory) == {"counter_folded.db"}
    assert total(directory) == 105


def test_files_of_live_processes_and_other_files_are_left(directory: Path) -> None:
    own = counted(directory, 7).rename(directory / f"counter_{os.getpid()}.db")
    (directory / "something-else").touch()
    counted(directory, 1, 1)
    counted(directory, 3, 1, "gauge_mostrecent")  # nobody's present value
    multiprocess.fold()
    assert files(directory) == {"counter_folded.db", own.name, "something-else"}
    assert total(directory) == 8


def test_sharing_folds_what_an_earlier_run_left(directory: Path) -> None:
    counted(directory, 4)
    multiprocess.share(directory.parent)
    assert files(directory) == {"counter_folded.db"}
    assert os.environ[multiprocess.VARIABLE] == str(directory)


def test_file_without_content_of_an_ended_process_breaks_nothing(directory: Path) -> None:
    counted(directory, 4)
    (directory / f"counter_{NEVER + 1}.db").touch()  # killed before it gave the file its size
    assert total(directory) == 4
    assert files(directory) == {"counter_folded.db"}


@pytest.mark.parametrize("step", range(9))
def test_fold_that_is_killed_loses_and_doubles_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The steps are the changes of files, one after another; the last ones are never reached."""
    counted(directory, 1)
    multiprocess.fold()
    for number in range(3):
        counted(directory, 2, number)
    steps = iter(range(9))

    def dying(change: Any) -> Any:
        def changed(*arguments: Any, **options: Any) -> Any:
            if next(steps) == step:
                raise Killed
            return change(*arguments, **options)

        return changed

    with monkeypatch.context() as patched:
        for name in ("rename", "unlink", "write_text"):
            patched.setattr(Path, name, dying(getattr(Path, name)))
        try:
            multiprocess.fold()
        except Killed:
            assert step < 8
        else:
            assert step == 8
    assert total(directory) == 7
    multiprocess.fold()
    assert total(directory) == 7
    assert files(directory) == {"counter_folded.db"}


def test_counts_never_go_backwards_while_files_are_folded(directory: Path) -> None:
    seen: list[float] = []
    ended = threading.Event()

    def scrape() -> None:
        while not ended.is_set():
            seen.append(total(directory))

    scraper = threading.Thread(target=scrape)
    scraper.start()
    for number in range(60):
        counted(directory, 1, number)
        multiprocess.fold()
    ended.set()
    scraper.join()
    seen.append(total(directory))
    assert seen == sorted(seen)
    assert seen[-1] == 60


def test_reading_during_which_files_were_folded_is_repeated(directory: Path) -> None:
    counted(directory, 3)
    readings: list[float] = []

    def read() -> float:
        listed = sorted(directory.glob("*.db"))
        if not readings:
            counted(directory, 4, 1)
            multiprocess.fold()
        readings.append(len(listed))
        return total(directory) if listed[0].exists() and readings[1:] else 0.0

    assert multiprocess.read_consistently(read) == 7
    assert len(readings) == 2


def test_nobody_waits_for_a_process_that_hangs_while_it_folds(directory: Path) -> None:
    counted(directory, 3)
    with (directory / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        multiprocess.fold()
        assert files(directory) == {f"counter_{NEVER}.db"}
        assert total(directory) == 3
        (directory / "fold.json").write_text(json.dumps([]))
        assert total(directory) == 3  # in the middle of a fold, too


def test_counts_of_processes_are_added_up_and_survive_them(directory: Path) -> None:
    values = {}
    for number in (2, 3):
        done = subprocess.run(
            [sys.executable, "-c", COUNT, str(directory.parent), str(number)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        values = dict(lines_of(done.stdout))
    assert values['algosat_orders_total{account="paper",mode="PAPER",outcome="accepted"}'] == 5
    assert values['algosat_order_stage_seconds_bucket{le="0.025",stage="send"}'] == 2
    assert values['algosat_order_stage_seconds_bucket{le="0.01",stage="send"}'] == 0
    assert values['algosat_order_stage_seconds_count{stage="send"}'] == 2


def lines_of(text: str) -> Iterator[tuple[str, float]]:
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            yield name, float(value)
