"""A release that fails gives way to the one before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from algosat_release import store, switch
from algosat_release.machine import Failed
from tests.infra.releases.pretended import STANDBY, Server, restarted


def test_unhealthy_release_is_taken_back_with_its_configuration(server: Server) -> None:
    server.runs("1.0-a")
    server.healthy = lambda running: running is not None and running.name == "1.0-a"
    with pytest.raises(Failed, match=r"(?s)1.0-b failed: not healthy.*1.0-a is in force again, and healthy"):
        switch.switch(server.layout, server.has("1.0-b", "two"))
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert server.configuration() == "setting: one\n"
    assert [it.split("\t")[3] for it in server.layout.history.read_text().splitlines()] == [
        "in force",
        "failed: not healthy",
    ]


def test_changed_configuration_that_makes_a_release_sick_is_taken_back(server: Server) -> None:
    release = server.runs("1.0-a")
    (release.configuration / "algosat.yaml").write_text("setting: sick\n")
    server.healthy = lambda _: "sick" not in server.configuration()
    with pytest.raises(Failed, match=r"1\.0-a is in force again"):
        switch.switch(server.layout, release)
    assert server.configuration() == "setting: one\n"
    assert (release.configuration / "algosat.yaml").read_text() == "setting: one\n"


def test_first_release_that_fails_leaves_nothing_running(server: Server) -> None:
    server.healthy = lambda _: False
    with pytest.raises(Failed, match="There was no release before it"):
        switch.switch(server.layout, server.has("1.0-a"))
    assert not server.layout.current.is_symlink()
    assert any(it.startswith("systemctl disable --now") for it in server.asked)


def test_release_that_fails_to_start_is_explained_by_its_journal(server: Server) -> None:
    server.runs("1.0-a")
    server.refuses["systemctl restart"] = 1
    server.says["--unit=algosat-engine.service"] = "ModuleNotFoundError: numpy"
    with pytest.raises(Failed, match=r"(?s)algosat-engine.service ---\nModuleNotFoundError: numpy"):
        switch.switch(server.layout, server.has("1.0-b"))


def test_engine_that_does_not_start_leaves_the_old_services_alone(server: Server) -> None:
    server.runs("1.0-a")
    server.refuses[f"systemctl start {STANDBY}"] = 1
    with pytest.raises(Failed):
        switch.switch(server.layout, server.has("1.0-b"))
    assert restarted(server) == []
    assert server.layout.current.readlink() == Path("releases/1.0-a")


def test_store_comes_back_when_the_migrated_release_is_not_healthy(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.runs("1.0-a")
    server.refuses["1.0-b/bin/algosat db current"] = store.BEHIND
    server.says["backup.sh"] = "/backups/one.tar.gz\n"
    server.healthy = lambda running: running is not None and running.name == "1.0-a"
    put_back: list[tuple[str, Path]] = []
    monkeypatch.setattr(
        store, "put_back", lambda _, release, archive: put_back.append((release.name, archive))
    )
    with pytest.raises(Failed, match=r"1\.0-a is in force again"):
        switch.switch(server.layout, server.has("1.0-b"))
    assert put_back == [("1.0-a", Path("/backups/one.tar.gz"))]
    assert "1.0-a/bin/algosat risk resume" in server.asked[-1]
