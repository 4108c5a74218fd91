"""The dead-man's switch with real files and a fake systemctl."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.paths import ROOT

PROGRAM = ROOT / "roles" / "deadman" / "templates" / "usr" / "local" / "sbin" / "deadman.j2"

Deadman = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """Create the file that the tests change."""
    file = tmp_path / "sshd_config"
    file.write_text("old")
    return file


@pytest.fixture
def deadman(tmp_path: Path) -> Deadman:
    program = tmp_path / "deadman"
    program.write_text(PROGRAM.read_text().replace("/var/lib/deadman", str(tmp_path / "kept")))
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/systemctl.log\n')
    systemctl.chmod(0o755)

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        path = f"{tmp_path}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", program, *arguments], env={"PATH": path}, capture_output=True, text=True, check=False
        )

    return run


def test_unconfirmed_change_is_undone(deadman: Deadman, changed: Path) -> None:
    assert deadman("arm", "test", "true", changed).returncode == 0
    changed.write_text("new")
    fired = deadman("fire", "test")
    assert (fired.returncode, changed.read_text()) == (0, "old")
    assert "the change of test was not confirmed" in fired.stderr


def test_failed_restore_keeps_the_copy_and_prints_both_remedies(
    deadman: Deadman, changed: Path, tmp_path: Path
) -> None:
    deadman("arm", "test", "true", changed)
    changed.unlink()
    (changed / "other").mkdir(parents=True)  # the file cannot overwrite a directory
    fired = deadman("fire", "test")
    assert fired.returncode != 0
    assert "deadman fire test" in fired.stderr
    assert "deadman disarm test" in fired.stderr
    assert "stop deadman@test.timer" not in (tmp_path / "systemctl.log").read_text()


def test_failed_command_keeps_the_switch_armed_until_a_retry_succeeds(
    deadman: Deadman, changed: Path, tmp_path: Path
) -> None:
    deadman("arm", "test", f"test -e {tmp_path}/repaired", changed)
    assert "deadman fire test" in deadman("fire", "test").stderr
    (tmp_path / "repaired").touch()
    assert deadman("fire", "test").returncode == 0
    assert "too late" in deadman("disarm", "test").stderr


def test_failing_switch_can_be_disarmed_and_armed_again(
    deadman: Deadman, changed: Path, tmp_path: Path
) -> None:
    deadman("arm", "test", "false", changed)
    assert deadman("fire", "test").returncode != 0
    assert deadman("disarm", "test").returncode == 0
    (tmp_path / "systemctl.log").unlink()
    assert deadman("arm", "test", "true", changed).returncode == 0
    assert (tmp_path / "systemctl.log").read_text().splitlines() == [
        "stop deadman@test.service",
        "--quiet enable --now deadman@test.timer",
    ]
