"""What a switch does when all goes well, and what it refuses before anything is changed."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from algosat_release import switch
from algosat_release.layout import COMPLETE
from algosat_release.machine import Refused
from tests.infra.releases.pretended import STANDBY, UNITS, Server, call, restarted


def test_release_in_force_changes_nothing_and_restarts_nothing(server: Server) -> None:
    release = server.runs("1.0-a")
    assert switch.switch(server.layout, release) == []
    assert not any("restart" in it for it in server.asked)


def test_new_release_is_put_in_force_with_its_configuration(server: Server) -> None:
    server.runs("1.0-a")
    changed = switch.switch(server.layout, server.has("1.0-b", "two"))
    assert changed[0] == "release 1.0-a -> 1.0-b"
    assert server.layout.current.readlink() == Path("releases/1.0-b")
    assert server.configuration() == "setting: two\n"
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]


def test_file_edited_by_hand_is_named_and_mended(server: Server) -> None:
    release = server.runs("1.0-a")
    (server.layout.configuration / "security.yaml").write_text("setting: mine\n")
    assert switch.differences(server.layout, release) == [
        f"configuration {server.layout.configuration / 'security.yaml'}"
    ]
    switch.switch(server.layout, release)
    assert (server.layout.configuration / "security.yaml").read_text() == "setting: one\n"


def test_changed_unit_file_restarts_the_services(server: Server) -> None:
    release = server.runs("1.0-a")
    (server.layout.unit_directory / "algosat.service").write_text("# other\n")
    assert switch.switch(server.layout, release) == ["unit algosat.service"]
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]


def test_socket_is_replaced_only_once_its_service_has_let_go(server: Server) -> None:
    release = server.runs("1.0-a")
    (server.layout.unit_directory / "algosat.socket").write_text("# another port\n")
    switch.switch(server.layout, release)
    stop = server.asked.index("systemctl stop algosat-engine.service algosat.service algosat.socket")
    assert stop < server.asked.index("systemctl start algosat.socket")


def test_unit_that_sleeps_is_woken_without_a_restart(server: Server) -> None:
    release = server.runs("1.0-a")
    server.active = False
    changed = switch.switch(server.layout, release)
    assert changed[0] == "unit algosat.socket is failed, enabled"
    assert f"systemctl enable --now {' '.join(UNITS)}" in server.asked
    assert not any("restart" in it for it in server.asked)


def test_configuration_the_release_does_not_accept_changes_nothing(server: Server) -> None:
    server.runs("1.0-a")
    release = server.has("1.0-b", "wrong")
    server.refuses["config check"] = 1
    with pytest.raises(Refused, match=r"1.0-b does not accept its configuration"):
        switch.switch(server.layout, release)
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert server.configuration() == "setting: one\n"
    assert not any("systemctl" in it and "show" not in it for it in server.asked)


def test_half_installed_release_is_refused(server: Server) -> None:
    release = server.has("1.0-a")
    (release.directory / COMPLETE).unlink()
    with pytest.raises(Refused, match="is not installed"):
        switch.switch(server.layout, release)


def test_engine_stands_in_while_the_other_one_restarts(server: Server) -> None:
    server.runs("1.0-a")
    switch.switch(server.layout, server.has("1.0-b"))
    steps = (
        f"systemctl start {STANDBY}",
        "systemctl restart algosat-engine.service",
        f"systemctl stop {STANDBY}",
        "systemctl restart algosat.service",
    )
    rest = iter(server.asked)
    assert all(step in rest for step in steps), server.asked


def test_two_releases_at_a_time_are_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.has("1.0-a")
    with (server.layout.home / ".release.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert call(server, monkeypatch, "switch", "1.0-a") == 1
    assert "another release is under way" in capsys.readouterr().err


def test_oldest_releases_go_but_never_the_one_before(server: Server) -> None:
    for name in ("1.0-a", "1.0-b", "1.0-c", "1.0-d"):
        server.runs(name)
    kept = sorted(it.name for it in (server.layout.home / "releases").iterdir())
    assert kept == ["1.0-c", "1.0-d"]


def test_what_a_power_cut_left_of_the_last_switchs_notes_counts_as_none(server: Server) -> None:
    release = server.runs("1.0-a")
    server.layout.state.write_text("")
    assert switch.switch(server.layout, release) == [f"unit {unit}" for unit in UNITS]
    assert switch.switch(server.layout, release) == []
