from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from sqlite3 import OperationalError as DriverError
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from algosat.api import problems
from algosat.api.context import NAME, Services
from algosat.app import create_app
from algosat.config.loader import load
from algosat.errors import AlgosatError, InvalidQuery, StoreBusy
from algosat.resilience.error_log import Recovery
from algosat.trading import funds
from tests.app import fakes
from tests.app.builders import algosat_data, write_configuration
from tests.app.client import Client, problem_of


def _all_errors(of: type[AlgosatError] = AlgosatError) -> Iterator[type[AlgosatError]]:
    """Yield every error class of the application."""
    for each in of.__subclasses__():
        if each.__module__.startswith("algosat."):
            yield each
            yield from _all_errors(each)


@pytest.fixture
def debugging(directory: Path) -> Iterator[Flask]:
    """The API with the setting `debug` on."""
    url = load(directory).algosat.database.url.get_secret_value()
    write_configuration(
        directory, algosat_data(directory, environment="development", debug=True, database__url=url)
    )
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


def test_analytics_show_what_a_failed_request_cost(
    admin: Client, viewer: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_funds(monkeypatch, StoreBusy("the cause"))
    for _ in range(2):
        viewer.get("/funds")
    services.desk.errors.recovered(Recovery.ROUND, "engine paper route", succeeded=True, seconds=2)
    services.desk.errors.flush()
    answer = admin.get("/errors/analytics?hours=2").json
    assert (answer["total"], answer["total_before"], len(answer["trend"])) == (2, 0, 24)
    assert answer["by_severity"] == {"low": 0, "medium": 0, "high": 2, "critical": 0}
    assert answer["by_category"] == [{"category": "database", "count": 2}]
    assert answer["by_component"] == [{"component": "database", "count": 2}]
    assert answer["most_frequent"] == [{"code": "store_busy", "place": "/funds", "count": 2}]
    assert (answer["cost"]["failed"], answer["cost"]["mean_ms_with_errors"] is None) == (2, False)
    assert answer["recoveries"] == [
        {"action": "round", "succeeded": 1, "failed": 0, "success_rate": 1.0, "mean_seconds": 2.0}
    ]
    assert [each["code"] for each in answer["new_in_release"]] == ["store_busy"]


def test_analytics_of_a_quiet_server_are_empty(admin: Client) -> None:
    answer = admin.get("/errors/analytics").json
    assert (answer["total"], answer["bursts"], answer["recoveries"]) == (0, [], [])
    assert len(answer["trend"]) == 24


@pytest.mark.parametrize("error", [each for each in _all_errors() if each.status == 503])
def test_each_503_says_when_to_repeat_and_shows_no_inside(error: type[AlgosatError]) -> None:
    answer = problems.answer_to(error())
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1


def test_503_of_a_driver_shows_neither_path_nor_statement() -> None:
    inside = OperationalError("BEGIN IMMEDIATE", {}, DriverError("/var/lib/algosat/x: database is locked"))
    answer = problems.answer_to(inside)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "/var" not in answer.get_data(as_text=True)
    assert "BEGIN" not in answer.get_data(as_text=True)


def test_unhealthy_server_says_when_to_look_again(anonymous: Client) -> None:
    answer = anonymous.get("/health")  # no engine has run
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
