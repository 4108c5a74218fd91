"""The store during a switch: checks, migration and halt."""

from __future__ import annotations

from pathlib import Path

import pytest

from algosat_release import store, switch
from algosat_release.machine import Refused
from tests.infra.releases.fake_server import STANDBY, FakeServer


@pytest.mark.parametrize("stopped", [True, False])
def test_switch_with_an_unexpectedly_empty_store_is_refused(server: FakeServer, stopped: bool) -> None:
    running = server.activate("1.0-a")
    server.active = not stopped
    server.outputs["1.0-a/bin/algosat db current"] = "none 0001\n"
    with pytest.raises(Refused, match=r"1\.0-a is current, but its store is empty: .*restore\.yml"):
        switch.switch(server.layout, running if stopped else server.install("1.0-b"))
    assert not any("systemctl" in it and "show" not in it for it in server.commands)


def test_current_release_is_called_with_the_installed_configuration(server: FakeServer) -> None:
    release = server.activate("1.0-a")
    (release.configuration / "algosat.yaml").write_text("setting: two\n")
    server.failures["db current"] = store.BEHIND
    server.outputs["backup.sh"] = "before.tar.gz\n"
    switch.switch(server.layout, release)
    calls = [it for it in server.commands if "engine idle" in it or "risk" in it]
    assert len(calls) == 5  # engine idle, risk status, risk halt, risk status, risk resume
    assert all(f"ALGOSAT_CONFIG_DIR={server.layout.configuration} " in it for it in calls)


def test_migration_halts_trading_and_backs_up_the_store_first(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.activate("1.0-a")
    server.failures["1.0-b/bin/algosat db current"] = store.BEHIND
    server.outputs["backup.sh"] = "/backups/algosat-20261122T000000Z-before-migration.tar.gz\n"
    switch.switch(server.layout, server.install("1.0-b"))
    steps = (
        "1.0-a/bin/algosat risk halt --no-cancel",
        f"systemctl stop {STANDBY} algosat-engine.service algosat.service",
        "backup.sh --label before-migration",
        "1.0-b/bin/algosat db upgrade",
        "systemctl restart",
        "1.0-b/bin/algosat risk resume",
    )
    found = [next(i for i, line in enumerate(server.commands) if step in line) for step in steps]
    assert found == sorted(found)


def test_trading_that_was_halted_before_stays_halted(server: FakeServer) -> None:
    server.activate("1.0-a")
    server.failures["1.0-b/bin/algosat db current"] = store.BEHIND
    server.outputs |= {"risk status": "halted\nall\t…\n", "backup.sh": "/backups/one.tar.gz\n"}
    switch.switch(server.layout, server.install("1.0-b"))
    assert not any("risk halt" in it or "risk resume" in it for it in server.commands)


def test_halt_placed_by_another_user_during_the_migration_stays(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.activate("1.0-a")
    server.failures["1.0-b/bin/algosat db current"] = store.BEHIND
    server.outputs["backup.sh"] = "/backups/one.tar.gz\n"
    server.outputs["1.0-b/bin/algosat risk status"] = (
        "halted\nall\t2026-11-22T14:30:00Z\tuser:trader\todd prices\n"
    )
    switch.switch(server.layout, server.install("1.0-b"))
    assert not any("risk resume" in it for it in server.commands)
    assert "odd prices" in capsys.readouterr().err


def test_newer_store_version_is_refused_with_the_remedy(server: FakeServer) -> None:
    server.activate("1.0-a")
    server.failures["1.0-0/bin/algosat db current"] = store.NEWER
    server.outputs["1.0-0/bin/algosat db current"] = "0009 0004\n"
    with pytest.raises(Refused, match=r"version 0009, on which 1.0-0 cannot run; restore"):
        switch.switch(server.layout, server.install("1.0-0"))
    assert server.layout.current.readlink() == Path("releases/1.0-a")
