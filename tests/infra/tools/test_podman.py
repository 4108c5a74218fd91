"""Limits and runtime of podman."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import apt, podman, shell

LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max processes             {processes}                {processes}                processes
Max open files            1024                 {files}                files
"""
ALL_CAPABILITIES = "CapEff:\t000001ffffffffff\n"
WITHOUT_SYS_RESOURCE = "CapEff:\t000001fffeffffff\n"


@pytest.fixture(autouse=True)
def fresh() -> None:
    podman.limits.cache_clear()


def fake_process(monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    monkeypatch.setattr(shell, "as_root", list)
    monkeypatch.setattr(shell, "output", lambda _command: output)


def test_podman_sets_no_limits_with_sys_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_process(monkeypatch, ALL_CAPABILITIES + LIMITS.format(processes=96365, files=20000))
    assert podman.limits() == ()


def test_limits_do_not_exceed_those_of_the_user_and_conmon(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_process(monkeypatch, WITHOUT_SYS_RESOURCE + LIMITS.format(processes=96365, files=20000))
    assert podman.limits() == ("--ulimit=nofile=20000:20000", "--ulimit=nproc=32768:32768")


def test_process_limit_below_that_of_conmon_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_process(monkeypatch, WITHOUT_SYS_RESOURCE + LIMITS.format(processes=5000, files=20000))
    assert podman.limits()[1] == "--ulimit=nproc=5000:5000"


def test_unlimited_files_become_a_valid_number(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_process(monkeypatch, WITHOUT_SYS_RESOURCE + LIMITS.format(processes=5000, files="unlimited"))
    assert podman.limits()[0] == f"--ulimit=nofile={podman.UNLIMITED}:{podman.UNLIMITED}"


def test_hybrid_cgroups_select_runc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "ensure_commands", lambda *_: None)
    monkeypatch.setattr(shell, "as_root", list)
    for unified, beginning in ((False, ("podman", "--runtime=runc")), (True, ("podman",))):
        monkeypatch.setattr(Path, "exists", lambda _, answer=unified: answer)
        podman.command.cache_clear()
        assert podman.command() == beginning
    podman.command.cache_clear()
