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


def process(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr(shell, "as_root", list)
    monkeypatch.setattr(shell, "output", lambda _command: said)


def test_podman_keeps_its_own_limits_where_its_user_may_raise_them(monkeypatch: pytest.MonkeyPatch) -> None:
    process(monkeypatch, ALL_CAPABILITIES + LIMITS.format(processes=96365, files=20000))
    assert podman.limits() == ()


def test_limits_stay_below_the_users_own_and_conmons(monkeypatch: pytest.MonkeyPatch) -> None:
    process(monkeypatch, WITHOUT_SYS_RESOURCE + LIMITS.format(processes=96365, files=20000))
    assert podman.limits() == ("--ulimit=nofile=20000:20000", "--ulimit=nproc=32768:32768")


def test_limit_of_processes_below_conmons_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    process(monkeypatch, WITHOUT_SYS_RESOURCE + LIMITS.format(processes=5000, files=20000))
    assert podman.limits()[1] == "--ulimit=nproc=5000:5000"


def test_unlimited_files_become_a_number_podman_can_grant(monkeypatch: pytest.MonkeyPatch) -> None:
    process(monkeypatch, WITHOUT_SYS_RESOURCE + LIMITS.format(processes=5000, files="unlimited"))
    assert podman.limits()[0] == f"--ulimit=nofile={podman.UNLIMITED}:{podman.UNLIMITED}"


def test_mixed_cgroups_ask_for_runc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "ensure_commands", lambda *_: None)
    monkeypatch.setattr(shell, "as_root", list)
    for unified, beginning in ((False, ("podman", "--runtime=runc")), (True, ("podman",))):
        monkeypatch.setattr(Path, "exists", lambda _, answer=unified: answer)
        podman.command.cache_clear()
        assert podman.command() == beginning
    podman.command.cache_clear()
