"""A switch does not cut into trading."""

from __future__ import annotations

from pathlib import Path

import pytest

from algosat_release import guard, switch
from algosat_release.machine import Refused
from tests.infra.releases.pretended import Server, call


@pytest.mark.parametrize("code", [guard.MARKET_OPEN, guard.UNDER_WAY])
def test_switch_that_would_cut_into_trading_is_refused_with_the_remedy(server: Server, code: int) -> None:
    server.runs("1.0-a")
    server.refuses["1.0-a/bin/algosat engine idle"] = code
    server.says["engine idle"] = "EQ is in continuous until 15:30 IST\n"
    with pytest.raises(Refused, match=r"(?s)until 15:30 IST.*-e algosat_force=true"):
        switch.switch(server.layout, server.has("1.0-b", "two"))
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert server.configuration() == "setting: one\n"
    assert not any("systemctl" in it and "show" not in it for it in server.asked)


def test_switch_that_would_cut_into_trading_is_made_when_forced(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.runs("1.0-a")
    server.refuses["engine idle"] = guard.MARKET_OPEN
    server.has("1.0-b")
    assert call(server, monkeypatch, "switch", "1.0-b", "--force") == 0
    assert server.layout.current.readlink() == Path("releases/1.0-b")


def test_orders_under_way_are_given_time_to_come_to_rest(server: Server) -> None:
    server.runs("1.0-a")
    switch.switch(server.layout, server.has("1.0-b"))
    assert any(it.endswith(f"engine idle --within={guard.LULL_SECONDS}") for it in server.asked)


def test_restart_for_nothing_asks_nobody(server: Server) -> None:
    release = server.runs("1.0-a")
    server.refuses["engine idle"] = guard.MARKET_OPEN
    assert switch.switch(server.layout, release) == []


def test_somebody_who_asks_first_is_refused_with_the_same_words(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.runs("1.0-a")
    assert call(server, monkeypatch, "idle") == 0
    server.refuses["engine idle"] = guard.MARKET_OPEN
    server.says["engine idle"] = "EQ is in continuous until 15:30 IST\n"
    assert call(server, monkeypatch, "idle") == 1
    assert "until 15:30 IST" in capsys.readouterr().err
