"""A client of the API that keeps HTTP out of the tests."""

from __future__ import annotations

import uuid
from functools import cache
from typing import Any, Final, Self

from flask import Flask
from werkzeug.exceptions import HTTPException

from algosat.api.all_routes import AREAS
from algosat.api.openapi import document

PASSWORD: Final = "correct horse battery"


class Client:
    """A client with the tokens of one login session, or without tokens."""

    def __init__(self, app: Flask) -> None:
        self._client = app.test_client(use_cookies=False)
        self.token: str | None = None
        self.refresh_token: str | None = None

    def log_in(self, username: str, password: str = PASSWORD) -> Self:
        answer = self.post("/auth/login", json={"username": username, "password": password})
        assert answer.status_code == 200, answer.text
        self.keep(answer)
        return self

    def keep(self, answer: Any) -> None:
        self.token = answer.json["access_token"]
        self.refresh_token = answer.json["refresh_token"]

    def get(self, path: str, **request: Any) -> Any:
        return self._send("GET", path, **request)

    def post(self, path: str, **request: Any) -> Any:
        return self._send("POST", path, **request)

    def put(self, path: str, **request: Any) -> Any:
        return self._send("PUT", path, **request)

    def patch(self, path: str, **request: Any) -> Any:
        return self._send("PATCH", path, **request)

    def delete(self, path: str, **request: Any) -> Any:
        return self._send("DELETE", path, **request)

    def place(self, key: str | None = None, *, wait: float = 0, **order: Any) -> Any:
        body = {"symbol": "ALPHA-EQ", "side": "buy", "quantity": "10", "type": "market", **order}
        headers = {"Idempotency-Key": key or uuid.uuid4().hex, "Prefer": f"wait={wait:g}"}
        return self.post("/orders", json=body, headers=headers)

    def _send(self, method: str, path: str, **request: Any) -> Any:
        headers = dict(request.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        answer = self._client.open(path, method=method, headers=headers, **request)
        if answer.content_type == "application/problem+json":
            problem: Any = answer.json
            require_documented(self._client.application, method, path, problem["code"])
        return answer


def require_documented(app: Flask, method: str, path: str, code: str) -> None:
    """Assert that the operation, if there is one, lists this problem code in the OpenAPI document."""
    try:
        endpoint, _ = app.url_map.bind("").match(path.partition("?")[0], method)
    except HTTPException:
        return
    assert code in problem_codes()[str(endpoint)], f"{endpoint} does not document {code}"


@cache
def problem_codes() -> dict[str, set[str]]:
    """Return the problem codes that each operation lists, by method and path."""
    spec = document(AREAS)
    schemas = spec["components"]["schemas"]
    found = {}
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            content = operation["responses"]["500"]["content"]["application/problem+json"]
            problem = schemas[content["schema"]["$ref"].rsplit("/", 1)[1]]
            found[f"{method.upper()} {path}"] = set(problem["properties"]["code"]["enum"])
    return found


def problem_of(answer: Any) -> tuple[int, str]:
    """Return status and code of a problem. Asserts that it has every field."""
    assert answer.content_type == "application/problem+json", answer.text
    problem = answer.json
    assert set(problem) == {"type", "title", "status", "detail", "code", "correlation_id", "errors"}
    assert problem["status"] == answer.status_code
    assert problem["correlation_id"] == answer.headers["X-Request-ID"]
    return answer.status_code, problem["code"]
