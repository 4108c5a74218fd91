"""Archive keys for building images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import apt, keyrings
from tools.distros import named


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return the packages installed for keys, on a machine without keys whose apt offers none."""
    packages: list[str] = []
    monkeypatch.setattr(keyrings, "INSTALLED", tmp_path / "installed")
    monkeypatch.setattr(keyrings, "TAKEN", tmp_path / "taken")
    monkeypatch.setattr(apt, "offered", lambda _: False)
    monkeypatch.setattr(apt, "ensure", packages.append)
    return packages


def test_keys_extracted_before_are_reused(installed: list[str]) -> None:
    ubuntu = named("ubuntu-24.04")
    keyrings.TAKEN.mkdir()
    (keyrings.TAKEN / ubuntu.keys).touch()
    assert keyrings.on_this_machine(ubuntu) == keyrings.TAKEN / ubuntu.keys
    assert installed == []


def test_keys_that_apt_does_not_offer_are_left_to_the_donor_image(installed: list[str]) -> None:
    assert keyrings.on_this_machine(named("ubuntu-24.04")) is None
    assert installed == []


def test_keys_of_the_donor_image_come_from_this_machine(installed: list[str]) -> None:
    assert keyrings.on_this_machine(named("debian-12")) is not None
    assert installed == ["debian-archive-keyring"]
