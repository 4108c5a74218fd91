"""An operator who wants the release of before."""

from __future__ import annotations

from pathlib import Path

import pytest

from algosat_release import __main__ as command
from algosat_release import switch
from algosat_release.layout import Layout, Release
from algosat_release.machine import Refused
from tests.infra.releases.pretended import Server, call


def test_rollback_puts_the_release_before_in_force_with_the_configuration_of_now(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.runs("1.0-a")
    switch.switch(server.layout, server.has("1.0-b", "two"))
    assert call(server, monkeypatch, "rollback") == 0
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert server.configuration() == "setting: two\n"


def refuses_that_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the older release refuse the configuration in force, once."""
    answers = iter([Refused("colour is not a known setting")])

    def accept(layout: Layout, release: Release, *options: str) -> None:
        for refusal in answers:
            raise refusal
        switch.accept(layout, release, *options)

    monkeypatch.setattr(command, "accept", accept)


def test_rollback_does_not_bring_back_keys_that_were_replaced(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.runs("1.0-a")
    switch.switch(server.layout, server.has("1.0-b", "two"))
    refuses_that_of_now(monkeypatch)
    server.refuses[f"1.0-a/bin/algosat config check --in-force {server.layout.configuration}"] = 1
    assert call(server, monkeypatch, "rollback") == 1
    assert server.layout.current.readlink() == Path("releases/1.0-b")
    assert "refused, nothing was changed: 1.0-a does not accept" in capsys.readouterr().err


def test_rollback_takes_the_configuration_of_then_if_the_older_release_refuses_that_of_now(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = server.runs("1.0-a")
    switch.switch(server.layout, server.has("1.0-b", "two"))
    refuses_that_of_now(monkeypatch)
    assert call(server, monkeypatch, "rollback") == 0
    assert server.configuration() == "setting: one\n"
    assert (old.configuration / "algosat.yaml").read_text() == "setting: one\n"
    assert "the configuration it last ran with: colour is not a known setting" in capsys.readouterr().err


@pytest.mark.parametrize("wanted", [["rollback"], ["rollback", "1.0-x"], ["switch", "1.0-x"]])
def test_release_that_is_not_there_is_refused(
    wanted: list[str], server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.runs("1.0-a")
    assert call(server, monkeypatch, *wanted) == 1
    assert "refused, nothing was changed" in capsys.readouterr().err
    assert server.layout.current.readlink() == Path("releases/1.0-a")
