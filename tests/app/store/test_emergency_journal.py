from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from algosat.errors import StoreBusy
from algosat.store.audit import Cause
from algosat.store.emergency_journal import EmergencyJournal, Record, RecordKind
from tests.app.store.small_disks import fill, small_disk

AT = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)
CAUSE = Cause("tester", "correlation-1")


@pytest.fixture
def directories(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("data", "run"):
        (tmp_path / name).mkdir()
    return tmp_path / "data", tmp_path / "run"


@pytest.fixture
def journal(directories: tuple[Path, Path]) -> EmergencyJournal:
    return EmergencyJournal(*directories)


def add(journal: EmergencyJournal, number: int) -> Record:
    data = {"order": f"a{number}"}
    return journal.append(RecordKind.CANCEL, AT + timedelta(seconds=number), CAUSE, data)


def test_records_are_read_by_every_process_until_they_are_removed(
    journal: EmergencyJournal, directories: tuple[Path, Path]
) -> None:
    assert journal.records() == []
    journal.allocate()
    journal.allocate()
    assert journal.records() == []
    added = [add(journal, number) for number in range(3)]
    other = EmergencyJournal(*directories)
    assert other.records() == added
    other.remove(added[:2])
    assert journal.records() == added[2:]
    late = add(journal, 9)
    journal.remove(added)
    assert other.records() == [late]
    other.remove([late])
    assert journal.records() == []
    assert (directories[0] / "emergency.journal").stat().st_size == 1 << 20


def test_record_that_was_torn_is_ignored_and_overwritten(
    journal: EmergencyJournal, directories: tuple[Path, Path]
) -> None:
    whole, torn = add(journal, 1), add(journal, 2)
    path = directories[0] / "emergency.journal"
    content = path.read_bytes()
    for length in range(content.index(torn.id.encode()), content.index(b"\0") - 1):
        path.write_bytes(content[:length])
        assert journal.records() == [whole]
    third = add(journal, 3)
    assert journal.records() == [whole, third]


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"00000000 {}\n", b"\xff" * 100, b"\n"])
def test_file_without_a_record_is_empty(
    journal: EmergencyJournal, directories: tuple[Path, Path], content: bytes
) -> None:
    (directories[0] / "emergency.journal").write_bytes(content)
    assert journal.records() == []
    record = add(journal, 1)
    assert journal.records() == [record]


def test_full_disk_takes_records_into_the_allocated_file(tmp_path: Path) -> None:
    with small_disk(tmp_path, 3) as disk:
        journal = EmergencyJournal(disk, disk / "missing")
        journal.allocate()
        fill(disk)
        added = [add(journal, number) for number in range(100)]
        assert journal.records() == added
        journal.remove(added)
        assert journal.records() == []


def test_runtime_directory_takes_records_while_the_data_directory_is_read_only(
    directories: tuple[Path, Path], tmp_path: Path
) -> None:
    with small_disk(tmp_path, 3) as disk:
        journal = EmergencyJournal(disk, directories[1])
        journal.allocate()
        first = add(journal, 1)
        assert os.system(f"mount -o remount,ro {disk}") == 0
        second = add(journal, 2)
        assert EmergencyJournal(disk, directories[1]).records() == [first, second]
        journal.remove([first, second])  # the first one stays, and is not merged twice
        assert journal.records() == [first]
        assert os.system(f"mount -o remount,rw {disk}") == 0
        journal.remove([first])
        assert journal.records() == []


def test_journal_that_no_file_takes_refuses_the_record(tmp_path: Path) -> None:
    journal = EmergencyJournal(tmp_path / "missing", tmp_path / "missing")
    assert journal.records() == []
    with pytest.raises(StoreBusy, match="Neither the store nor the emergency journal"):
        add(journal, 1)


def test_full_journal_refuses_the_record_and_keeps_the_others(tmp_path: Path) -> None:
    journal = EmergencyJournal(tmp_path, tmp_path / "missing")
    data = {"reason": "x" * 100_000}
    added = list[Record]()

    def add_often() -> None:
        added.extend(journal.append(RecordKind.HALT, AT, CAUSE, data) for _ in range(20))

    with pytest.raises(StoreBusy):
        add_often()
    assert len(added) == 10
    assert journal.records() == added
