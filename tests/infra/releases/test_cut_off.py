"""A switch that was cut off half-way (a power cut, a kill): the next one ends well."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from algosat_release import guard, machine, store, switch
from algosat_release.layout import Release
from tests.infra.releases.pretended import Server, call, restarted

LEFT = "halted\nall\t2026-11-22T14:30:00Z\tcli\trelease 1.0-b is being proven\n"


def cut_off(server: Server, monkeypatch: pytest.MonkeyPatch, name: str) -> Release:
    """A release that `current` points to by now, and that was never started."""

    def attempt(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        if "daemon-reload" in command:
            raise SystemExit
        return server.attempt(command)

    release = server.has(name)
    with monkeypatch.context() as killed:
        killed.setattr(machine, "attempt", attempt)
        with pytest.raises(SystemExit):
            switch.switch(server.layout, release)
    assert server.layout.running() == release
    return release


def test_release_that_was_pointed_to_but_not_started_is_started(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.runs("1.0-a")
    release = cut_off(server, monkeypatch, "1.0-b")
    changed = switch.switch(server.layout, release)
    assert changed == ["release 1.0-b, whose switch was cut off: another one may still run"]
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]
    assert switch.switch(server.layout, release) == []


def test_rollback_after_it_finds_the_release_that_ran_before(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.runs("1.0-0")
    server.runs("1.0-a")
    switch.switch(server.layout, cut_off(server, monkeypatch, "1.0-b"))
    assert call(server, monkeypatch, "rollback") == 0
    assert server.layout.current.readlink() == Path("releases/1.0-a")


@pytest.mark.parametrize("code", [store.CURRENT, store.BEHIND])
def test_halt_that_it_left_ends_when_a_release_has_proven_itself(server: Server, code: int) -> None:
    server.runs("1.0-a")
    server.refuses["1.0-c/bin/algosat db current"] = code
    server.says |= {"risk status": LEFT, "backup.sh": "/backups/one.tar.gz\n"}
    switch.switch(server.layout, server.has("1.0-c"))
    assert any("1.0-c/bin/algosat risk resume" in it for it in server.asked)


def test_halt_of_somebody_else_stays(server: Server) -> None:
    server.runs("1.0-a")
    server.says["risk status"] = LEFT.replace("release 1.0-b is being proven", "odd prices")
    switch.switch(server.layout, server.has("1.0-b"))
    assert not any("risk resume" in it for it in server.asked)


def test_services_that_it_left_stopped_are_started_while_the_market_is_open(server: Server) -> None:
    server.runs("1.0-a")
    server.refuses["engine idle"] = guard.MARKET_OPEN
    server.active = False
    switch.switch(server.layout, server.has("1.0-b"))
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]


def test_link_in_the_place_of_the_lock_leads_nowhere(server: Server, tmp_path: Path) -> None:
    (server.layout.runtime / "changeover.lock").symlink_to(tmp_path / "nologin")
    with pytest.raises(OSError, match="symbolic link"), store.services_held(server.layout):
        pass
    assert not (tmp_path / "nologin").exists()


def test_store_comes_back_by_way_of_the_disk_and_is_given_away_last(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[Path] = []
    monkeypatch.setattr("shutil.chown", lambda path, *_: given.append(Path(path)))
    archive = tmp_path / "one.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("algosat-20261122T000000Z-before-migration/database/algosat.db")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"store"))
    store.put_back(server.layout, server.has("1.0-a"), archive)
    work = given[-1]
    assert given == [work / "algosat.db", work]
    assert work.parent == server.layout.home
    assert not work.exists()
    assert server.asked[-1].endswith(f"1.0-a/bin/algosat store restore {work}/algosat.db")
