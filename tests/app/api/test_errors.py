from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from algosat.api.context import NAME, Services
from algosat.app import create_app
from algosat.config.loader import load
from algosat.errors import InvalidQuery, StoreBusy
from algosat.trading import funds
from tests.app import fakes
from tests.app.builders import algosat_data, write_configuration
from tests.app.client import Client, problem_of


@pytest.fixture
def debugging(directory: Path) -> Iterator[Flask]:
    """The API with the setting `debug` on."""
    write_configuration(directory, algosat_data(directory, environment="development", debug=True))
    app = create_app(load(directory), directory, passwords=fakes.quick_passwords())
    yield app
    app.extensions[NAME].close()


def break_funds(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Make `GET /funds` raise the error."""

    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(funds, "funds", broken)


def test_server_error_is_listed_with_its_correlation_id(
    admin: Client, viewer: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_funds(monkeypatch, ZeroDivisionError("as tests do"))
    answers = [viewer.get("/funds") for _ in range(2)]
    assert problem_of(answers[1]) == (500, "internal_error")
    services.desk.errors.flush()
    (error,) = admin.get("/errors").json["items"]
    assert (error["code"], error["place"], error["count"]) == ("ZeroDivisionError", "/funds", 2)
    assert (error["severity"], error["category"], error["component"]) == ("critical", "system", "api")
    assert error["correlation_id"] == answers[1].json["correlation_id"]


def test_client_error_is_not_listed(admin: Client, services: Services) -> None:
    admin.get("/nowhere")
    admin.post("/orders", json={})
    services.desk.errors.flush()
    assert admin.get("/errors?severity=critical").json["items"] == []
    assert admin.get("/errors").json["items"] == []


@pytest.mark.parametrize("error", [ZeroDivisionError("the cause"), StoreBusy("the cause")])
def test_debug_shows_the_exception_of_a_server_error_to_an_admin(
    debugging: Flask, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    break_funds(monkeypatch, error)
    shown = Client(debugging).log_in("admin").get("/funds").json["exception"]
    assert (shown["type"], shown["message"]) == (type(error).__name__, "the cause")
    assert shown["traceback"][0] == "Traceback (most recent call last):"
    assert "in broken" in "\n".join(shown["traceback"])


def test_debug_shows_the_exception_to_nobody_else(debugging: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    break_funds(monkeypatch, ZeroDivisionError("the cause"))
    answer = Client(debugging).log_in("trader").get("/funds")
    assert problem_of(answer) == (500, "internal_error")
    assert "the cause" not in answer.text


def test_debug_shows_no_exception_of_a_client_error(
    debugging: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_funds(monkeypatch, InvalidQuery("the cause"))
    assert problem_of(Client(debugging).log_in("admin").get("/funds")) == (400, "invalid_query")


def test_without_debug_no_exception_is_shown(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    break_funds(monkeypatch, ZeroDivisionError("the cause"))
    answer = admin.get("/funds")
    assert problem_of(answer) == (500, "internal_error")
    assert "the cause" not in answer.text
