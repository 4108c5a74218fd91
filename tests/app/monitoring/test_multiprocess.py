from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from algosat.monitoring import multiprocess

COUNT = """
import sys
from pathlib import Path
from algosat.monitoring import multiprocess
multiprocess.share(Path(sys.argv[1]))
from algosat.monitoring import exposition, metrics, textfiles
metrics.orders("accepted", "paper", "PAPER").inc(int(sys.argv[2]))
print(exposition.generate("", textfiles.Textfiles(Path(sys.argv[1])))[0])
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(multiprocess.VARIABLE, "restored after the test")


def test_files_of_ended_processes_are_removed(tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    directory.mkdir()
    gone, own = directory / "counter_99999999.db", directory / f"counter_{os.getpid()}.db"
    for path in (gone, own, directory / "something-else"):
        path.touch()
    multiprocess.share(tmp_path)
    assert not gone.exists()
    assert own.exists()
    assert (directory / "something-else").exists()
    assert os.environ[multiprocess.VARIABLE] == str(directory)


def test_counts_of_processes_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", COUNT + "input()", str(tmp_path), "2"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    while not any(line.startswith("algosat_orders_total{") for line in holder.stdout):
        assert holder.poll() is None
    second = subprocess.run(
        [sys.executable, "-c", COUNT, str(tmp_path), "3"], capture_output=True, text=True, check=True
    )
    holder.communicate("\n")
    assert 'algosat_orders_total{account="paper",mode="PAPER",outcome="accepted"} 5.0' in second.stdout
