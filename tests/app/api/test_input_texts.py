"""Bodies and queries: names written twice, control characters, and input that looks like an attack."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from algosat.api import input_texts
from algosat.api.auth import Credentials
from algosat.api.brokers import NewBrokerCredentials
from algosat.monitoring import metrics
from tests.app.client import Client, problem_of

ORDER = '{"symbol":"ALPHA-EQ","side":"buy","quantity":"1","type":"market","product":"intraday"'


def screened() -> float:
    counter: Any = metrics.SECURITY_EVENTS.labels("screened")
    value: float = counter._value.get()  # noqa: SLF001 - the client has no other reader
    return value


@pytest.mark.parametrize(
    "body",
    [
        ORDER + ',"quantity":"2"}',
        ORDER + ',"side":"sell"}',
        ORDER + ',"symbol":"ALPHA-EQ"}',
        ORDER + ',"exits":{"stop":{"trigger_price":"1","trigger_price":"2"}}}',
        ORDER + ',"unknown":1,"unknown":1}',
        ORDER + ',"quant\\u0069ty":"2"}',  # the same name, written differently
    ],
)
def test_name_written_twice_is_refused_at_every_depth(trader: Client, body: str) -> None:
    answer = trader.post("/orders", data=body, content_type="application/json")
    assert problem_of(answer) == (400, "invalid_json")
    assert "twice in one object" in answer.json["detail"]


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x08", "\x1b", "\x7f", "\x85", "\u202e", "\u2066"])
@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.usefixtures("desk")
def test_control_character_in_any_text_is_refused(
    anonymous: Client, trader: Client, admin: Client, character: str, escaped: bool
) -> None:
    if not escaped and character < " ":
        return  # not JSON
    for client, path, body, place in (
        (anonymous, "/auth/login", {"username": f"a{character}b", "password": "x"}, "username"),
        (anonymous, "/auth/login", {"username": "a", "password": f"x{character}"}, "password"),
        (trader, "/risk/halt", {"reason": f"odd {character} prices"}, "reason"),
        (admin, "/config/update", {"section": "vps", "updates": {f"a{character}": 1}}, "updates"),
    ):
        data = json.dumps(body, ensure_ascii=escaped).encode()
        send = client.put if path == "/config/update" else client.post
        answer = send(path, data=data, content_type="application/json")
        assert problem_of(answer) == (422, "invalid_body"), path
        assert place in {each["field"] for each in answer.json["errors"]}
    assert admin.get("/risk").json["halts"] == []


def test_control_character_in_a_query_is_refused(viewer: Client) -> None:
    for path in (
        "/orders?symbol=a%00b",
        "/orders?strategy=%1b%5d",
        "/alerts?kind=a%0ab",
        "/trades?symbol=%C2%9b",
    ):
        assert problem_of(viewer.get(path)) == (400, "invalid_query"), path


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    "reason", ["Jürgen's stop: 5 < 6, that's \"odd\" \t🚀\nsecond line", "שלום world", "a -- b"]
)
def test_ordinary_text_is_accepted_and_not_screened(trader: Client, reason: str) -> None:
    before = screened()
    assert trader.post("/risk/halt", json={"reason": reason}).status_code == 200
    assert screened() == before


@pytest.mark.usefixtures("desk")
def test_suspicious_text_is_accepted_counted_and_not_logged(trader: Client) -> None:
    before = screened()
    with capture_logs() as logs:
        answer = trader.post("/risk/halt", json={"reason": "canary') or ('a'='a') -- "})
    assert answer.status_code == 200
    assert screened() == before + 1
    (event,) = (each for each in logs if each["event"] == "suspicious_input")
    assert (event["score"], event["attacks"]) == (5, ["sql_injection"])
    assert "canary" not in str(logs)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/orders/../../etc/passwd", {}),
        ("/nowhere?x=%27%20union%20select%201--%20", {}),
        ("/orders?symbol=<script>", {}),
        ("/health", {"User-Agent": "() { :; }; echo x"}),
    ],
)
def test_path_query_and_user_agent_are_screened(
    anonymous: Client, path: str, headers: dict[str, str]
) -> None:
    before = screened()
    anonymous.get(path, headers=headers)
    assert screened() == before + 1


def test_password_is_not_screened(anonymous: Client) -> None:
    before = screened()
    anonymous.post("/auth/login", json={"username": "nobody", "password": "' or 1=1 -- "})
    assert screened() == before


def test_fields_with_secrets_are_known_at_every_depth() -> None:
    assert input_texts.secret_fields(Credentials) == {"password"}
    assert input_texts.secret_fields(NewBrokerCredentials) == {"value"}
