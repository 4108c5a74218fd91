"""The locks between processes."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tools import locks


def is_free(file: Path) -> bool:
    with file.open("w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_lock_is_held_within_the_block_and_no_longer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(locks, "LOCKS", tmp_path)
    with locks.exclusive("some"):
        assert not is_free(tmp_path / "some")
        assert is_free(tmp_path / "other")
    assert is_free(tmp_path / "some")


def test_second_process_of_a_kind_is_not_the_only_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(locks, "LOCKS", tmp_path)
    with locks.only_one("some") as first, locks.only_one("some") as second:
        assert (first, second) == (True, False)
    assert is_free(tmp_path / "some")
