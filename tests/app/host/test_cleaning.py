from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from algosat.config.settings import AlgosatFile
from algosat.errors import NotFound
from algosat.host import cleaning
from algosat.host.cleaning import Bin, Candidate, CleanedPlace, places, plan
from tests.app.builders import algosat_data

NOW = 1_795_000_000.0
DAY = 86_400.0
GIB = 2**30


def place(directory: Path, *, days: float = 30, most: int = GIB) -> CleanedPlace:
    return CleanedPlace("cache", directory, "**/*", days * DAY, most)


def file(path: Path, *, days_old: float = 0, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (NOW - days_old * DAY, NOW - days_old * DAY))
    return path


def chosen(where: CleanedPlace) -> list[Path]:
    return [each.path for each in plan([where], NOW).get("cache", [])]


def removed(tmp_path: Path, *files: Path) -> tuple[Bin, str]:
    found = [Candidate(each, each.stat().st_size, each.stat().st_mtime) for each in files]
    rubbish = Bin(tmp_path / "data")
    return rubbish, rubbish.remove(found, NOW, cleaning.new_id(NOW)).id


def test_old_files_and_the_oldest_beyond_the_bound_go(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    new = [file(cache / f"a/{age}", days_old=age, content="x" * 100) for age in (1, 2, 3)]
    old = file(cache / "b/old", days_old=31)
    assert chosen(place(cache)) == [old]
    assert chosen(place(cache, most=250)) == [new[2], old]
    assert chosen(place(tmp_path / "missing")) == []


def test_links_and_what_is_behind_them_stay(tmp_path: Path) -> None:
    cache, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    file(elsewhere / "book", days_old=900)
    cache.mkdir()
    (cache / "file").symlink_to(elsewhere / "book")
    (cache / "directory").symlink_to(elsewhere)
    assert chosen(place(cache)) == []
    assert chosen(CleanedPlace("cache", cache, "directory/*", DAY, GIB)) == []


def test_only_caches_and_rotated_logs_are_places(tmp_path: Path) -> None:
    data = algosat_data(tmp_path, logging__file=str(tmp_path / "log" / "algosat.log"))
    settings = AlgosatFile.model_validate(data)
    kept = [
        *(
            file(tmp_path / "log" / name, days_old=900)
            for name in ("algosat.log", "nginx.log", "algosat.logs")
        ),
        *(file(tmp_path / "data" / name, days_old=900) for name in ("database/algosat.db", "reports/a.prom")),
    ]
    goes = [
        file(tmp_path / "data" / "cache" / "restic" / "x", days_old=900),
        *(file(tmp_path / "log" / f"algosat.log{end}", days_old=900) for end in (".1", "-20250101.gz")),
    ]
    found = {each.path for files in plan(places(settings), NOW).values() for each in files}
    assert found == set(goes)
    assert all(each.exists() for each in kept)


def test_removed_file_is_put_back_as_it_was(tmp_path: Path) -> None:
    cached = file(tmp_path / "cache" / "a" / "x", days_old=40, content="content")
    rubbish, removal = removed(tmp_path, cached)
    assert not cached.exists()
    assert [(each.id, each.size, len(each.files)) for each in rubbish.all()] == [(removal, 7, 1)]
    cached.parent.rmdir()
    assert rubbish.restore(removal) == (1, [])
    assert cached.read_text() == "content"
    assert cached.stat().st_mtime == NOW - 40 * DAY
    assert rubbish.all() == []
    with pytest.raises(NotFound, match="algosat host removed"):
        rubbish.restore(removal)


def test_file_that_exists_again_keeps_its_content(tmp_path: Path) -> None:
    cached = file(tmp_path / "cache" / "x", content="old")
    rubbish, removal = removed(tmp_path, cached)
    file(cached, content="new")
    assert rubbish.restore(removal) == (0, [str(cached)])
    assert cached.read_text() == "new"
    assert [each.id for each in rubbish.all()] == [removal]


def test_file_that_changed_after_it_was_chosen_stays(tmp_path: Path) -> None:
    cached = file(tmp_path / "cache" / "x", days_old=40)
    rubbish = Bin(tmp_path / "data")
    rubbish.remove([Candidate(cached, 1, NOW - 50 * DAY)], NOW, "1-a")
    assert cached.exists()
    assert rubbish.restore("1-a") == (0, [])


def test_removal_that_is_cut_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [file(tmp_path / "cache" / name) for name in "abc"]
    move, moves = shutil.move, iter(range(3))

    def cut(source: Any, target: Any) -> Any:
        if next(moves) == 1:
            raise KeyboardInterrupt
        return move(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "move", cut)
        with pytest.raises(KeyboardInterrupt):
            removed(tmp_path, *files)
    (removal,) = Bin(tmp_path / "data").all()
    assert Bin(tmp_path / "data").restore(removal.id) == (1, [])
    assert all(each.exists() for each in files)


def test_bin_is_emptied_after_a_week(tmp_path: Path) -> None:
    rubbish, removal = removed(tmp_path, file(tmp_path / "cache" / "x"))
    assert rubbish.purge(NOW + 6 * DAY) == []
    assert rubbish.purge(NOW + 2 * DAY, cleaning.KEPT_WHILE_FULL)[0].id == removal
    assert rubbish.all() == []
    assert list((tmp_path / "data" / "removed").iterdir()) == []


def test_manifest_that_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    file(tmp_path / "data" / "removed" / "1-a" / "manifest.json", content="{")
    assert Bin(tmp_path / "data").all() == []
    assert Bin(tmp_path / "data").purge(NOW + 900 * DAY) == []
