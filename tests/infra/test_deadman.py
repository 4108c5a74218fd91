"""The dead-man's switch by itself, where nothing but its files is real."""

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
    """A file that a change is about to be made to."""
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


def test_nobody_who_confirms_brings_the_old_state_back(deadman: Deadman, changed: Path) -> None:
    assert deadman("arm", "test", "true", changed).returncode == 0
    changed.write_text("new")
    fired = deadman("fire", "test")
    assert (fired.returncode, changed.read_text()) == (0, "old")
    assert "nobody confirmed the change of test" in fired.stderr


def test_an_old_state_that_cannot_be_put_back_stays_and_says_both_ways_on(
    deadman: Deadman, changed: Path, tmp_path: Path
) -> None:
    deadman("arm", "test", "true", changed)
    changed.unlink()
    (changed / "somebody's").mkdir(parents=True)  # a directory in its place cannot be overwritten
    fired = deadman("fire", "test")
    assert fired.returncode != 0
    assert "deadman fire test" in fired.stderr
    assert "deadman disarm test" in fired.stderr
    assert "stop deadman@test.timer" not in (tmp_path / "systemctl.log").read_text()


def test_a_command_that_fails_leaves_it_armed_and_a_second_try_ends_it(
    deadman: Deadman, changed: Path, tmp_path: Path
) -> None:
    deadman("arm", "test", f"test -e {tmp_path}/mended", changed)
    assert "deadman fire test" in deadman("fire", "test").stderr
    (tmp_path / "mended").touch()
    assert deadman("fire", "test").returncode == 0
    assert "too late" in deadman("disarm", "test").stderr


def test_what_keeps_failing_can_be_disarmed_and_does_not_fire_what_is_armed_next(
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
