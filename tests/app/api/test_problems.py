from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from algosat.monitoring import correlation
from algosat.store.database import Database
from tests.app.client import Client, problem_of

KEY = {"Idempotency-Key": "key-1"}


@pytest.fixture(scope="module")
def app(shared_app: Flask) -> Flask:
    return shared_app


@pytest.fixture(scope="module")
def anonymous(shared_app: Flask) -> Client:
    return Client(shared_app)


@pytest.fixture(scope="module")
def viewer(shared_app: Flask) -> Client:
    return Client(shared_app).log_in("viewer")


@pytest.fixture(scope="module")
def trader(shared_app: Flask) -> Client:
    return Client(shared_app).log_in("trader")


@pytest.fixture(scope="module")
def admin(shared_app: Flask) -> Client:
    return Client(shared_app).log_in("admin")


def test_unknown_path_is_not_found(anonymous: Client) -> None:
    assert problem_of(anonymous.get("/nowhere")) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["/orders/", "/health//live", "/Orders", "/orders/%00", "/quotes/a%2Fb", "/quotes/é"]
)
def test_similar_path_is_not_found_and_never_redirects(trader: Client, path: str) -> None:
    assert problem_of(trader.get(path)) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "body", "name"),
    [
        ("POST", "/orders", {"quantiy": "1"}, "quantity"),
        ("POST", "/orders/basket", {"orders": [{"simbol": "ALPHA-EQ"}]}, "symbol"),
        ("PUT", "/risk/limits", {"limits": {"max_order_valeu": "1"}}, "max_order_value"),
        ("GET", "/orders?stauts=open", None, "status"),
        ("PUT", "/config/update", {"section": "loging", "updates": {"level": "INFO"}}, "logging"),
        ("PUT", "/config/update", {"section": "logging", "updates": {"levle": "INFO"}}, "level"),
        (
            "PUT",
            "/strategies/mine",
            {"class": "moving-average-crossover", "parameters": {"symbol": ["ALPHA-EQ"]}},
            "symbols",
        ),
    ],
)
def test_misspelt_name_gets_the_closest_one_as_a_hint(
    admin: Client, method: str, path: str, body: Any, name: str
) -> None:
    send = {"GET": admin.get, "POST": admin.post, "PUT": admin.put}[method]
    answer = send(path, headers=KEY, **({} if body is None else {"json": body}))
    assert answer.status_code in (400, 422)
    assert f"did you mean {name}?" in answer.json["detail"]


@pytest.mark.parametrize("method", ["DELETE", "OPTIONS", "TRACE", "FOO"])
def test_wrong_method_is_answered_with_the_allowed_ones(app: Flask, method: str) -> None:
    answer = app.test_client().open("/orders", method=method)
    assert problem_of(answer) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"{", "EOF"),
        (b"", "EOF"),
        (b"{'a': 1}", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[" * 5000, "recursion"),
        (b'{"symbol": NaN}', "symbol"),
    ],
)
def test_body_that_is_not_json_is_refused(trader: Client, body: bytes, detail: str) -> None:
    answer = trader.post("/orders", data=body, headers={**KEY, "Content-Type": "application/json"})
    assert problem_of(answer)[0] in (400, 422)
    assert detail.lower() in answer.json["detail"].lower()


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_body_of_another_type_is_refused(trader: Client, content_type: str) -> None:
    answer = trader.post("/orders", data=b"{}", headers={**KEY, "Content-Type": content_type})
    assert problem_of(answer) == (415, "unsupported_media_type")


def test_large_body_is_refused_with_and_without_a_token(trader: Client, anonymous: Client) -> None:
    body = b"x" * (2 * 1024 * 1024)
    for client in (trader, anonymous):
        answer = client.post("/orders", data=body, headers={"Content-Type": "application/json"})
        assert problem_of(answer) == (413, "body_too_large")


def test_large_body_without_a_stated_length_is_refused_too(trader: Client) -> None:
    answer = trader.post(
        "/auth/login",
        data=b"x" * (2 * 1024 * 1024),
        headers={"Content-Type": "application/json", "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert problem_of(answer) == (413, "body_too_large")


def test_every_invalid_field_of_a_body_is_listed_without_its_value(trader: Client) -> None:
    body = {"symbol": "x y", "side": "hold", "quantity": "0", "type": "market", "surprise": "pa55word"}
    answer = trader.post("/orders", json=body, headers=KEY)
    assert problem_of(answer) == (422, "invalid_body")
    assert {error["field"] for error in answer.json["errors"]} == {"symbol", "side", "quantity", "surprise"}
    assert "pa55word" not in answer.text


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "cursor=-1", "cursor=abc", "page=2", "limit=1&limit=2",
              "since=yesterday", "since=2026-01-01T00:00:00", "status=lost", "symbol=%00", "limit=1e2"],
)  # fmt: skip
def test_invalid_query_is_refused(viewer: Client, query: str) -> None:
    assert problem_of(viewer.get(f"/orders?{query}")) == (400, "invalid_query")


def test_route_without_parameters_refuses_any(viewer: Client) -> None:
    assert problem_of(viewer.get("/funds?verbose=1")) == (400, "invalid_query")


def test_server_error_hides_its_exception(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("the secret is swordfish")

    monkeypatch.setattr(Database, "read", broken)
    answer = viewer.get("/instruments")
    assert problem_of(answer) == (500, "internal_error")
    assert "swordfish" not in answer.text


def test_unavailable_store_is_a_503(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    monkeypatch.setattr(Database, "read", broken)
    assert problem_of(viewer.get("/instruments")) == (503, "store_busy")


def test_request_id_of_the_caller_is_kept(anonymous: Client) -> None:
    answer = anonymous.get("/nowhere", headers={"X-Request-ID": "client-0815.a_b"})
    assert answer.headers["X-Request-ID"] == "client-0815.a_b"
    assert answer.json["correlation_id"] == "client-0815.a_b"


@pytest.mark.parametrize("offered", ["short", "x" * 65, "with space", "line\u0007feed", "ümläute-in-it", ""])
def test_invalid_request_id_is_replaced(anonymous: Client, offered: str) -> None:
    answer = anonymous.get("/nowhere", headers={"X-Request-ID": offered})
    assert answer.headers["X-Request-ID"] != offered
    assert len(answer.headers["X-Request-ID"]) == 32


def test_every_response_has_the_security_headers(anonymous: Client) -> None:
    for path in ("/", "/nowhere", "/docs", "/openapi.json"):
        headers = anonymous.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert len(headers.getlist("Content-Security-Policy")) == 1
        assert "Server" not in headers


def test_new_ids_differ() -> None:
    assert correlation.begin(None) != correlation.begin(None)
