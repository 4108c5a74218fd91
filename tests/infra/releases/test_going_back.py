"""Failing releases are replaced by the previous one."""

from __future__ import annotations

from pathlib import Path

import pytest

from algosat_release import store, switch
from algosat_release.machine import Failed
from tests.infra.releases.fake_server import STANDBY, FakeServer, restarted


def test_unhealthy_release_is_rolled_back_with_its_configuration(server: FakeServer) -> None:
    server.activate("1.0-a")
    server.healthy = lambda running: running is not None and running.name == "1.0-a"
    with pytest.raises(Failed, match=r"(?s)1.0-b failed: not healthy.*1.0-a is current again, and healthy"):
        switch.switch(server.layout, server.install("1.0-b", "two"))
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert server.configuration() == "setting: one\n"
    assert [it.split("\t")[3] for it in server.layout.history.read_text().splitlines()] == [
        "in force",
        "failed: not healthy",
    ]


def test_configuration_that_makes_a_release_unhealthy_is_undone(server: FakeServer) -> None:
    release = server.activate("1.0-a")
    (release.configuration / "algosat.yaml").write_text("setting: bad\n")
    server.healthy = lambda _: "bad" not in server.configuration()
    with pytest.raises(Failed, match=r"1\.0-a is current again"):
        switch.switch(server.layout, release)
    assert server.configuration() == "setting: one\n"
    assert (release.configuration / "algosat.yaml").read_text() == "setting: one\n"


def test_failed_first_release_leaves_nothing_running(server: FakeServer) -> None:
    server.healthy = lambda _: False
    with pytest.raises(Failed, match="There was no previous release"):
        switch.switch(server.layout, server.install("1.0-a"))
    assert not server.layout.current.is_symlink()
    assert any(it.startswith("systemctl disable --now") for it in server.commands)


def test_failed_start_is_reported_with_the_journal(server: FakeServer) -> None:
    server.activate("1.0-a")
    server.failures["systemctl restart"] = 1
    server.outputs["--unit=algosat-engine.service"] = "ModuleNotFoundError: numpy"
    with pytest.raises(Failed, match=r"(?s)algosat-engine.service ---\nModuleNotFoundError: numpy"):
        switch.switch(server.layout, server.install("1.0-b"))


def test_failed_standby_engine_leaves_the_old_services_running(server: FakeServer) -> None:
    server.activate("1.0-a")
    server.failures[f"systemctl start {STANDBY}"] = 1
    with pytest.raises(Failed):
        switch.switch(server.layout, server.install("1.0-b"))
    assert restarted(server) == []
    assert server.layout.current.readlink() == Path("releases/1.0-a")


@pytest.mark.parametrize(
    ("answer", "restorations"),
    [
        (store.CURRENT, []),  # the migration only added to the store
        (store.NEWER, [("1.0-a", Path("/backups/one.tar.gz"))]),
        (1, [("1.0-a", Path("/backups/one.tar.gz"))]),  # the store cannot be read
    ],
)
def test_migrated_store_is_restored_only_if_the_previous_release_cannot_run_on_it(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, answer: int, restorations: list[tuple[str, Path]]
) -> None:
    server.activate("1.0-a")
    server.failures["1.0-b/bin/algosat db current"] = store.BEHIND
    server.outputs["backup.sh"] = "/backups/one.tar.gz\n"
    server.healthy = lambda running: running is not None and running.name == "1.0-a"
    restored: list[tuple[str, Path]] = []
    monkeypatch.setattr(
        store, "restore", lambda _, release, archive: restored.append((release.name, archive))
    )
    server.failures["1.0-a/bin/algosat db current"] = answer
    with pytest.raises(Failed, match=r"1\.0-a is current again"):
        switch.switch(server.layout, server.install("1.0-b"))
    assert restored == restorations
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert "1.0-a/bin/algosat risk resume" in server.commands[-1]


def test_store_whose_migration_failed_is_restored(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.activate("1.0-a")
    server.failures |= {"1.0-b/bin/algosat db current": store.BEHIND, "1.0-b/bin/algosat db upgrade": 1}
    server.outputs["backup.sh"] = "/backups/one.tar.gz\n"
    restored: list[Path] = []
    monkeypatch.setattr(store, "restore", lambda _layout, _release, archive: restored.append(archive))
    with pytest.raises(Failed, match=r"1\.0-a is current again"):
        switch.switch(server.layout, server.install("1.0-b"))
    assert restored == [Path("/backups/one.tar.gz")]
