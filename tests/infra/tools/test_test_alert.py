"""`make test-alert`: each server sends a test alert; only the trial server receives its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools import test_alert
from tools.playbook import Outcome
from tools.say import Trouble


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, Path, tuple[str, ...]]]:
    runs: list[tuple[str, Path, tuple[str, ...]]] = []

    def play(playbook: str, inventory: Path, _log: str, *arguments: str) -> Outcome:
        runs.append((playbook, inventory, arguments))
        return Outcome(1.0, {"trade": {"ok": 2}})

    for environment in ("local", "mine"):
        (tmp_path / "inventories" / environment).mkdir(parents=True)
    monkeypatch.setattr(test_alert, "ROOT", tmp_path)
    monkeypatch.setattr(test_alert, "play", play)
    return runs


@pytest.mark.parametrize(
    ("arguments", "environment", "passed"),
    [
        ([], "local", ("--limit", "algosat", "--extra-vars=test_receiver=true")),
        (["mine"], "mine", ("--limit", "algosat")),
        (["mine", "--limit", "trade"], "mine", ("--limit", "trade")),
    ],
)
def test_only_the_trial_server_receives_its_own_test_alert(
    played: list[Any], monkeypatch: pytest.MonkeyPatch, arguments: list[str], environment: str, passed: Any
) -> None:
    monkeypatch.setattr("sys.argv", ["test_alert", *arguments])
    test_alert.main()
    ((playbook, inventory, given),) = played
    assert (playbook, inventory.name, given) == ("test_alert.yml", environment, passed)


@pytest.mark.usefixtures("played")
def test_environment_without_an_inventory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["test_alert", "other"])
    with pytest.raises(Trouble, match="no inventory"):
        test_alert.main()
