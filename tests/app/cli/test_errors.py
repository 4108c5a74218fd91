from __future__ import annotations

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from algosat.api.context import NAME
from algosat.cli import cli
from algosat.errors import NotFound, StoreBusy


@pytest.fixture
def directory_with_errors(app: Flask, directory: object) -> str:
    errors = app.extensions[NAME].desk.errors
    for _ in range(12):
        errors.record(StoreBusy("no answer"), "/orders", seconds=0.5)
    errors.record(NotFound("nothing"), "engine paper route")
    errors.flush()
    return str(directory)


def errors(directory: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--config-dir", directory, "errors", *arguments])


def test_errors_are_listed_with_their_numbers(directory_with_errors: str) -> None:
    lines = [line.split("\t") for line in errors(directory_with_errors, "list").stdout.splitlines()]
    assert sorted(line[1:6] for line in lines) == [
        ["1", "low", "api", "not_found", "engine paper route"],
        ["12", "high", "database", "store_busy", "/orders"],
    ]
    (only,) = errors(directory_with_errors, "list", "--severity", "high").stdout.splitlines()
    assert only.endswith("no answer")
    assert errors(directory_with_errors, "list", "--component", "broker").stdout == ""
    assert "'low', 'medium'" in errors(directory_with_errors, "list", "--severity", "bad").output


def test_analytics_are_printed_as_sentences(directory_with_errors: str) -> None:
    shown = errors(directory_with_errors, "analytics", "--hours", "1").stdout
    assert "13 errors since" in shown
    assert "12 high, 1 low" in shown
    assert "burst at" in shown
    assert "0 of 0 requests failed, in 6.0 s together" in shown
