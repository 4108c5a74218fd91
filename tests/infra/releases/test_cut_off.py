"""Interrupted switches (power failure, kill): the next switch succeeds."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from algosat_release import guard, machine, store, switch
from algosat_release.layout import Release
from tests.infra.releases.fake_server import FakeServer, call, restarted

LEFT = "halted\nall\t2026-11-22T14:30:00Z\tcli\trelease 1.0-b is being proven\n"


def interrupted(server: FakeServer, monkeypatch: pytest.MonkeyPatch, name: str) -> Release:
    """Return a release that `current` points to and that was never started."""

    def attempt(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        if "daemon-reload" in command:
            raise SystemExit
        return server.attempt(command)

    release = server.install(name)
    with monkeypatch.context() as killed:
        killed.setattr(machine, "attempt", attempt)
        with pytest.raises(SystemExit):
            switch.switch(server.layout, release)
    assert server.layout.current_release() == release
    return release


def test_current_release_that_was_never_started_is_started(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.activate("1.0-a")
    release = interrupted(server, monkeypatch, "1.0-b")
    changed = switch.switch(server.layout, release)
    assert changed == ["release 1.0-b, whose switch was interrupted: another one may still run"]
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]
    assert switch.switch(server.layout, release) == []


def test_rollback_after_an_interruption_finds_the_previous_release(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.activate("1.0-0")
    server.activate("1.0-a")
    switch.switch(server.layout, interrupted(server, monkeypatch, "1.0-b"))
    assert call(server, monkeypatch, "rollback") == 0
    assert server.layout.current.readlink() == Path("releases/1.0-a")


@pytest.mark.parametrize("code", [store.CURRENT, store.BEHIND])
def test_halt_left_by_an_interruption_ends_with_a_healthy_release(server: FakeServer, code: int) -> None:
    server.activate("1.0-a")
    server.failures["1.0-c/bin/algosat db current"] = code
    server.outputs |= {"risk status": LEFT, "backup.sh": "/backups/one.tar.gz\n"}
    switch.switch(server.layout, server.install("1.0-c"))
    assert any("1.0-c/bin/algosat risk resume" in it for it in server.commands)


def test_halt_of_another_origin_stays(server: FakeServer) -> None:
    server.activate("1.0-a")
    server.outputs["risk status"] = LEFT.replace("release 1.0-b is being proven", "odd prices")
    switch.switch(server.layout, server.install("1.0-b"))
    assert not any("risk resume" in it for it in server.commands)


def test_services_left_stopped_are_started_while_the_market_is_open(server: FakeServer) -> None:
    server.activate("1.0-a")
    server.failures["engine idle"] = guard.MARKET_OPEN
    server.active = False
    switch.switch(server.layout, server.install("1.0-b"))
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]


def test_symbolic_link_in_place_of_the_lock_is_not_followed(server: FakeServer, tmp_path: Path) -> None:
    (server.layout.runtime / "changeover.lock").symlink_to(tmp_path / "nologin")
    with pytest.raises(OSError, match="symbolic link"), store.services_stopped(server.layout):
        pass
    assert not (tmp_path / "nologin").exists()


def test_restored_store_is_unpacked_privately_before_its_owner_changes(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    changed: list[Path] = []
    monkeypatch.setattr("shutil.chown", lambda path, *_: changed.append(Path(path)))
    archive = tmp_path / "one.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("algosat-20261122T000000Z-before-migration/database/algosat.db")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"store"))
    store.restore(server.layout, server.install("1.0-a"), archive)
    work = changed[-1]
    assert changed == [work / "algosat.db", work]
    assert work.parent == server.layout.home
    assert not work.exists()
    assert server.commands[-1].endswith(f"1.0-a/bin/algosat store restore {work}/algosat.db")
