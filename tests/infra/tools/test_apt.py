"""Installation of missing packages on the developer's machine."""

from __future__ import annotations

import shutil

import pytest

from tools import apt
from tools.say import Trouble


def test_installed_commands_need_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    ensured: list[tuple[str, ...]] = []
    monkeypatch.setattr(apt, "_found", lambda _: True)
    monkeypatch.setattr(apt, "ensure", lambda *packages: ensured.append(packages))
    apt.ensure_commands("ssh", "podman")
    assert ensured == [()]


def test_missing_package_without_permission_gives_the_apt_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(apt, "_allowed", lambda: False)
    with pytest.raises(Trouble, match="lacks mmdebstrap, podman") as refused:
        apt.ensure("podman", "mmdebstrap")
    assert refused.value.remedy.endswith("sudo apt-get install -y mmdebstrap podman")


def test_machine_without_apt_gets_the_list_of_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Trouble) as refused:
        apt.ensure("podman")
    assert "by this system's own means" in refused.value.remedy
