"""The store on a release's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from algosat_release import store, switch
from algosat_release.machine import Refused
from tests.infra.releases.pretended import STANDBY, Server


@pytest.mark.parametrize("asleep", [True, False])
def test_release_is_not_put_on_an_empty_store_where_there_was_one(server: Server, asleep: bool) -> None:
    running = server.runs("1.0-a")
    server.active = not asleep
    server.says["1.0-a/bin/algosat db current"] = "none 0001\n"
    with pytest.raises(Refused, match=r"1\.0-a is in force, but its store is empty: .*restore\.yml"):
        switch.switch(server.layout, running if asleep else server.has("1.0-b"))
    assert not any("systemctl" in it and "show" not in it for it in server.asked)


def test_release_in_force_is_asked_with_what_is_in_force(server: Server) -> None:
    release = server.runs("1.0-a")
    (release.configuration / "algosat.yaml").write_text("setting: two\n")
    server.refuses["db current"] = store.BEHIND
    server.says["backup.sh"] = "before.tar.gz\n"
    switch.switch(server.layout, release)
    asked = [it for it in server.asked if "engine idle" in it or "risk" in it]
    assert len(asked) == 5  # may it, does it trade, halt, whose halt is it, resume
    assert all(f"ALGOSAT_CONFIG_DIR={server.layout.configuration} " in it for it in asked)


def test_store_is_backed_up_and_migrated_while_trading_is_halted_and_services_are_held(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.runs("1.0-a")
    server.refuses["1.0-b/bin/algosat db current"] = store.BEHIND
    server.says["backup.sh"] = "/backups/algosat-20261122T000000Z-before-migration.tar.gz\n"
    switch.switch(server.layout, server.has("1.0-b"))
    steps = (
        "1.0-a/bin/algosat risk halt --no-cancel",
        f"systemctl stop {STANDBY} algosat-engine.service algosat.service",
        "backup.sh --label before-migration",
        "1.0-b/bin/algosat db upgrade",
        "systemctl restart",
        "1.0-b/bin/algosat risk resume",
    )
    found = [next(i for i, line in enumerate(server.asked) if step in line) for step in steps]
    assert found == sorted(found)


def test_trading_that_was_halted_before_stays_halted(server: Server) -> None:
    server.runs("1.0-a")
    server.refuses["1.0-b/bin/algosat db current"] = store.BEHIND
    server.says |= {"risk status": "halted\nall\t…\n", "backup.sh": "/backups/one.tar.gz\n"}
    switch.switch(server.layout, server.has("1.0-b"))
    assert not any("risk halt" in it or "risk resume" in it for it in server.asked)


def test_halt_that_somebody_else_has_put_since_stays(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.runs("1.0-a")
    server.refuses["1.0-b/bin/algosat db current"] = store.BEHIND
    server.says["backup.sh"] = "/backups/one.tar.gz\n"
    server.says["1.0-b/bin/algosat risk status"] = (
        "halted\nall\t2026-11-22T14:30:00Z\tuser:trader\todd prices\n"
    )
    switch.switch(server.layout, server.has("1.0-b"))
    assert not any("risk resume" in it for it in server.asked)
    assert "odd prices" in capsys.readouterr().err


def test_store_of_a_newer_release_is_refused_with_the_remedy(server: Server) -> None:
    server.runs("1.0-a")
    server.refuses["1.0-0/bin/algosat db current"] = store.NEWER
    server.says["1.0-0/bin/algosat db current"] = "0009 0004\n"
    with pytest.raises(Refused, match=r"version 0009, which 1.0-0 does not know; restore"):
        switch.switch(server.layout, server.has("1.0-0"))
    assert server.layout.current.readlink() == Path("releases/1.0-a")
