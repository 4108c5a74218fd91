"""Successful switches, and switches that are refused before any change."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from algosat_release import switch
from algosat_release.layout import COMPLETE, Release
from algosat_release.machine import Failed, Refused
from tests.infra.releases.fake_server import STANDBY, UNITS, FakeServer, call, restarted


def test_switch_to_the_current_release_changes_nothing(server: FakeServer) -> None:
    release = server.activate("1.0-a")
    assert switch.switch(server.layout, release) == []
    assert not any("restart" in it for it in server.commands)


def test_new_release_is_activated_with_its_configuration(server: FakeServer) -> None:
    server.activate("1.0-a")
    changed = switch.switch(server.layout, server.install("1.0-b", "two"))
    assert changed[0] == "release 1.0-a -> 1.0-b"
    assert server.layout.current.readlink() == Path("releases/1.0-b")
    assert server.configuration() == "setting: two\n"
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]


def test_file_edited_by_hand_is_reported_and_replaced(server: FakeServer) -> None:
    release = server.activate("1.0-a")
    (server.layout.configuration / "security.yaml").write_text("setting: mine\n")
    assert switch.differences(server.layout, release) == [
        f"configuration {server.layout.configuration / 'security.yaml'}"
    ]
    switch.switch(server.layout, release)
    assert (server.layout.configuration / "security.yaml").read_text() == "setting: one\n"


@pytest.fixture
def changed(server: FakeServer) -> Release:
    """Return the current release, whose configuration differs in a live setting only."""
    release = server.activate("1.0-a")
    (release.configuration / "algosat.yaml").write_text("setting: two\n")
    server.outputs["config changes"] = "live\tlogging.level\n"
    return release


RELOAD = "systemctl reload algosat-engine.service algosat.service"


def test_live_settings_are_reloaded_also_while_a_market_is_open(server: FakeServer, changed: Release) -> None:
    server.failures["engine idle"] = 5
    assert switch.switch(server.layout, changed) == [
        f"configuration {server.layout.configuration / 'algosat.yaml'}"
    ]
    assert server.configuration() == "setting: two\n"
    assert RELOAD in server.commands
    assert restarted(server) == []
    assert "\treloaded\n" in server.layout.history.read_text()
    assert switch.switch(server.layout, changed) == []


def test_release_that_cannot_name_the_changes_restarts(server: FakeServer, changed: Release) -> None:
    server.failures["config changes"] = 2
    switch.switch(server.layout, changed)
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]


def test_changed_unit_file_restarts_in_spite_of_live_settings(server: FakeServer, changed: Release) -> None:
    (server.layout.unit_directory / "algosat.service").write_text("# other\n")
    switch.switch(server.layout, changed)
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]


def test_other_release_restarts_in_spite_of_live_settings(server: FakeServer, changed: Release) -> None:
    switch.switch(server.layout, server.install("1.0-b", "two"))
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]


def test_failed_reload_restores_the_configuration(server: FakeServer, changed: Release) -> None:
    healthy = iter([False])
    server.healthy = lambda _: next(healthy, True)
    with pytest.raises(Failed, match="The previous configuration is in use again"):
        switch.switch(server.layout, changed)
    assert server.configuration() == "setting: one\n"
    assert server.commands.count(RELOAD) == 2
    assert restarted(server) == []


def test_changed_unit_file_restarts_the_services(server: FakeServer) -> None:
    release = server.activate("1.0-a")
    (server.layout.unit_directory / "algosat.service").write_text("# other\n")
    assert switch.switch(server.layout, release) == ["unit algosat.service"]
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]


def test_socket_is_replaced_after_its_service_has_stopped(server: FakeServer) -> None:
    release = server.activate("1.0-a")
    (server.layout.unit_directory / "algosat.socket").write_text("# another port\n")
    switch.switch(server.layout, release)
    stop = server.commands.index("systemctl stop algosat-engine.service algosat.service algosat.socket")
    assert stop < server.commands.index("systemctl start algosat.socket")


def test_inactive_units_are_started_without_a_restart(server: FakeServer) -> None:
    release = server.activate("1.0-a")
    server.active = False
    changed = switch.switch(server.layout, release)
    assert changed[0] == "unit algosat.socket is failed, enabled"
    assert f"systemctl enable --now {' '.join(UNITS)}" in server.commands
    assert not any("restart" in it for it in server.commands)


def test_configuration_rejected_by_the_release_changes_nothing(server: FakeServer) -> None:
    server.activate("1.0-a")
    release = server.install("1.0-b", "wrong")
    server.failures["config check"] = 1
    with pytest.raises(Refused, match=r"1.0-b does not accept its configuration"):
        switch.switch(server.layout, release)
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert server.configuration() == "setting: one\n"
    assert not any("systemctl" in it and "show" not in it for it in server.commands)


def test_partly_installed_release_is_refused(server: FakeServer) -> None:
    release = server.install("1.0-a")
    (release.directory / COMPLETE).unlink()
    with pytest.raises(Refused, match="is not installed"):
        switch.switch(server.layout, release)


def test_standby_engine_runs_during_the_restart(server: FakeServer) -> None:
    server.activate("1.0-a")
    switch.switch(server.layout, server.install("1.0-b"))
    steps = (
        f"systemctl start {STANDBY}",
        "systemctl restart algosat-engine.service",
        f"systemctl stop {STANDBY}",
        "systemctl restart algosat.service",
    )
    rest = iter(server.commands)
    assert all(step in rest for step in steps), server.commands


def test_second_concurrent_switch_is_refused(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.install("1.0-a")
    with (server.layout.home / ".release.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert call(server, monkeypatch, "switch", "1.0-a") == 1
    assert "another release is in progress" in capsys.readouterr().err


def test_oldest_releases_are_removed_but_not_the_previous_one(server: FakeServer) -> None:
    for name in ("1.0-a", "1.0-b", "1.0-c", "1.0-d"):
        server.activate(name)
    kept = sorted(it.name for it in (server.layout.home / "releases").iterdir())
    assert kept == ["1.0-c", "1.0-d"]


def test_empty_state_file_counts_as_missing(server: FakeServer) -> None:
    release = server.activate("1.0-a")
    server.layout.state.write_text("")
    assert switch.switch(server.layout, release) == [f"unit {unit}" for unit in UNITS]
    assert switch.switch(server.layout, release) == []
