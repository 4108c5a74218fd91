from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from algosat.cli import cli, main
from algosat.cli.safe_output import escaped

REASON = "odd\x1b]0;owned\x07 prices\r\nforged: all is well \u202egnp"


@pytest.fixture
def run(directory: Path) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["--config-dir", str(directory), *arguments])

    return run


def test_reason_of_a_halt_cannot_control_the_terminal(run: Callable[..., Result]) -> None:
    assert run("risk", "halt", "--no-cancel", "--reason", REASON).exit_code == 0
    shown = run("risk", "status").output
    assert r"odd\x1b]0;owned\x07 prices\r" in shown
    assert r"prices\r\nforged: all is well \u202egnp" in shown
    assert len(shown.splitlines()) == 2
    assert not any(character in shown for character in "\x1b\x07\r\u202e")


def test_error_message_cannot_control_the_terminal(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "sys.argv", ["algosat", "--config-dir", str(directory), "user", "disable", "a\x1b[2Jb"]
    )
    with pytest.raises(SystemExit):
        main()
    assert r"a\x1b[2Jb" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "plain", "tab\tand\nline", "Müller 李 🚀", "שלום"])
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert escaped(text) == text
