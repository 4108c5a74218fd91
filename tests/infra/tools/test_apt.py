from __future__ import annotations

import shutil

import pytest

from tools import apt
from tools.say import Trouble


def test_commands_that_are_there_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(apt, "_found", lambda _: True)
    monkeypatch.setattr(apt, "ensure", lambda *packages: asked.append(packages))
    apt.ensure_commands("ssh", "podman")
    assert asked == [()]


def test_missing_package_is_named_with_the_whole_command_where_installing_is_not_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(apt, "_allowed", lambda: False)
    with pytest.raises(Trouble, match="lacks mmdebstrap, podman") as refused:
        apt.ensure("podman", "mmdebstrap")
    assert refused.value.remedy.endswith("sudo apt-get install -y mmdebstrap podman")


def test_machine_without_apt_is_told_which_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Trouble) as refused:
        apt.ensure("podman")
    assert "by this system's own means" in refused.value.remedy
