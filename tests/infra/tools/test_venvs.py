"""Virtual environments that are made on first use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import shell, venvs
from tools.paths import ROOT
from tools.say import Trouble


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Every command that would install, in an empty checkout with one lock file."""
    commands: list[list[str]] = []

    def record(command: list[str], **_options: object) -> str:
        commands.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)
        return ""

    monkeypatch.setattr(shell, "output", record)
    monkeypatch.setattr(venvs, "ROOT", tmp_path)
    monkeypatch.setattr(venvs, "LOCKS", tmp_path / "locks")
    monkeypatch.setattr(venvs, "VENVS", tmp_path / "venvs")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "peers.txt").write_text("peer==1.0 --hash=sha256:00\n")
    return commands


def test_environment_is_installed_once(installed: list[list[str]], tmp_path: Path) -> None:
    assert [venvs.ensure("peers"), venvs.ensure("peers")] == [tmp_path / "venvs" / "peers" / "bin"] * 2
    assert [command[1:3] for command in installed] == [["venv", "--quiet"], ["pip", "sync"]]


def test_environment_is_installed_anew_when_its_lock_file_changes(
    installed: list[list[str]], tmp_path: Path
) -> None:
    venvs.ensure("peers")
    (tmp_path / "locks" / "peers.txt").write_text("peer==1.1 --hash=sha256:00\n")
    venvs.ensure("peers")
    assert len(installed) == 4


def test_environment_cut_short_is_installed_anew(
    installed: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], **_options: object) -> str:
        raise Trouble("no package index")

    with monkeypatch.context() as broken:
        broken.setattr(shell, "output", fail)
        with pytest.raises(Trouble):
            venvs.ensure("peers")
    venvs.ensure("peers")
    assert len(installed) == 2


def test_only_files_with_a_known_hash_are_installed(installed: list[list[str]]) -> None:
    venvs.ensure("peers")
    assert "--require-hashes" in installed[-1]


def test_environment_without_a_lock_file_names_the_remedy(installed: list[list[str]]) -> None:
    with pytest.raises(Trouble, match=r"locks/others\.txt") as raised:
        venvs.ensure("others")
    assert raised.value.remedy == "make lock"


def test_every_list_of_packages_is_locked() -> None:
    lists = {it.stem for it in (ROOT / ".config" / "venvs").glob("*.in")}
    assert lists == set(venvs.names())
