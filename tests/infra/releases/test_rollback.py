"""The rollback command."""

from __future__ import annotations

from pathlib import Path

import pytest

from algosat_release import __main__ as command
from algosat_release import switch
from algosat_release.layout import Layout, Release
from algosat_release.machine import Refused
from tests.infra.releases.fake_server import FakeServer, call


def test_rollback_keeps_the_current_configuration(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.activate("1.0-a")
    switch.switch(server.layout, server.install("1.0-b", "two"))
    assert call(server, monkeypatch, "rollback") == 0
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert server.configuration() == "setting: two\n"


def reject_current_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the older release reject the current configuration, once."""
    answers = iter([Refused("colour is not a known setting")])

    def check_configuration(layout: Layout, release: Release, *options: str) -> None:
        for refusal in answers:
            raise refusal
        switch.check_configuration(layout, release, *options)

    monkeypatch.setattr(command, "check_configuration", check_configuration)


def test_rollback_does_not_restore_replaced_keys(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.activate("1.0-a")
    switch.switch(server.layout, server.install("1.0-b", "two"))
    reject_current_configuration(monkeypatch)
    server.failures[f"1.0-a/bin/algosat config check --in-force {server.layout.configuration}"] = 1
    assert call(server, monkeypatch, "rollback") == 1
    assert server.layout.current.readlink() == Path("releases/1.0-b")
    assert "refused, nothing was changed: 1.0-a does not accept" in capsys.readouterr().err


def test_rollback_uses_the_old_configuration_if_the_current_is_rejected(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = server.activate("1.0-a")
    switch.switch(server.layout, server.install("1.0-b", "two"))
    reject_current_configuration(monkeypatch)
    assert call(server, monkeypatch, "rollback") == 0
    assert server.configuration() == "setting: one\n"
    assert (old.configuration / "algosat.yaml").read_text() == "setting: one\n"
    said = capsys.readouterr().err
    assert "using the configuration that 1.0-a ran with last: colour is not a known setting" in said


@pytest.mark.parametrize("wanted", [["rollback"], ["rollback", "1.0-x"], ["switch", "1.0-x"]])
def test_release_that_is_not_installed_is_refused(
    wanted: list[str], server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.activate("1.0-a")
    assert call(server, monkeypatch, *wanted) == 1
    assert "refused, nothing was changed" in capsys.readouterr().err
    assert server.layout.current.readlink() == Path("releases/1.0-a")
