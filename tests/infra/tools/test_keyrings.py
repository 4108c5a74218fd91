from __future__ import annotations

from pathlib import Path

import pytest

from tools import apt, keyrings
from tools.distros import named


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What is installed for the sake of keys, on a machine that has none and whose apt knows no package."""
    asked: list[str] = []
    monkeypatch.setattr(keyrings, "INSTALLED", tmp_path / "installed")
    monkeypatch.setattr(keyrings, "TAKEN", tmp_path / "taken")
    monkeypatch.setattr(apt, "offered", lambda _: False)
    monkeypatch.setattr(apt, "ensure", asked.append)
    return asked


def test_keys_that_were_taken_before_are_used_again(installed: list[str]) -> None:
    ubuntu = named("ubuntu-24.04")
    keyrings.TAKEN.mkdir()
    (keyrings.TAKEN / ubuntu.keys).touch()
    assert keyrings.on_this_machine(ubuntu) == keyrings.TAKEN / ubuntu.keys
    assert installed == []


def test_keys_this_machines_distribution_lacks_are_left_to_the_donor(installed: list[str]) -> None:
    assert keyrings.on_this_machine(named("ubuntu-24.04")) is None
    assert installed == []


def test_the_donors_own_keys_must_come_from_this_machine(installed: list[str]) -> None:
    assert keyrings.on_this_machine(named("debian-12")) is not None
    assert installed == ["debian-archive-keyring"]
