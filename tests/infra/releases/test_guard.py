"""Switches that would interrupt trading are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from algosat_release import guard, switch
from algosat_release.machine import Refused
from tests.infra.releases.fake_server import FakeServer, call


@pytest.mark.parametrize("code", [guard.MARKET_OPEN, guard.IN_FLIGHT])
def test_switch_during_trading_is_refused_with_the_remedy(server: FakeServer, code: int) -> None:
    server.activate("1.0-a")
    server.failures["1.0-a/bin/algosat engine idle"] = code
    server.outputs["engine idle"] = "EQ is in continuous until 15:30 IST\n"
    with pytest.raises(Refused, match=r"(?s)until 15:30 IST.*-e algosat_force=true"):
        switch.switch(server.layout, server.install("1.0-b", "two"))
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert server.configuration() == "setting: one\n"
    assert not any("systemctl" in it and "show" not in it for it in server.commands)


def test_forced_switch_during_trading_is_made(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.activate("1.0-a")
    server.failures["engine idle"] = guard.MARKET_OPEN
    server.install("1.0-b")
    assert call(server, monkeypatch, "switch", "1.0-b", "--force") == 0
    assert server.layout.current.readlink() == Path("releases/1.0-b")


def test_switch_waits_for_pending_requests(server: FakeServer) -> None:
    server.activate("1.0-a")
    switch.switch(server.layout, server.install("1.0-b"))
    assert any(it.endswith(f"engine idle --within={guard.IDLE_WAIT_SECONDS}") for it in server.commands)


def test_switch_without_changes_needs_no_guard(server: FakeServer) -> None:
    release = server.activate("1.0-a")
    server.failures["engine idle"] = guard.MARKET_OPEN
    assert switch.switch(server.layout, release) == []


def test_idle_command_reports_the_same_refusal(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.activate("1.0-a")
    assert call(server, monkeypatch, "idle") == 0
    server.failures["engine idle"] = guard.MARKET_OPEN
    server.outputs["engine idle"] = "EQ is in continuous until 15:30 IST\n"
    assert call(server, monkeypatch, "idle") == 1
    assert "until 15:30 IST" in capsys.readouterr().err
