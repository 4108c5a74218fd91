from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from algosat.cli import cli
from tests.app.builders import algosat_data, write_configuration

LINE = {
    "event": "order.created",
    "level": "info",
    "timestamp": "2026-11-20T09:15:00Z",
    "process": "api",
    "correlation_id": "place-0001",
    "order": "aone",
    "code": None,
}
FAILED = {**LINE, "level": "error", "event": "round_failed", "exception": "Traceback\nValueError: x"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    file = tmp_path / "algosat.log"
    file.write_text(f"{json.dumps(LINE)}\nno json\n{json.dumps(FAILED)}\n")
    return write_configuration(tmp_path, algosat_data(tmp_path, logging__file=str(file)))


def logs(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--config-dir", str(directory), "logs", *arguments])


def test_lines_are_shown_for_a_person(directory: Path) -> None:
    shown = logs(directory, "--order", "aone").stdout.splitlines()
    assert shown == [
        "2026-11-20T09:15:00Z info api order.created correlation_id=place-0001 order=aone",
        "2026-11-20T09:15:00Z error api round_failed correlation_id=place-0001 order=aone",
        "Traceback",
        "ValueError: x",
    ]


def test_lines_are_shown_as_they_are(directory: Path) -> None:
    assert json.loads(logs(directory, "--request", "place-0001", "--json", "--limit", "1").stdout) == FAILED
    assert logs(directory).stdout.splitlines()[1] == "no json"


def test_nothing_found_is_said(directory: Path) -> None:
    result = logs(directory, "--user", "ann")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "no line in the log matches\n"
