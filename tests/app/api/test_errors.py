from __future__ import annotations

from typing import Any

import pytest

from algosat.trading import funds
from tests.app.client import Client, problem_of


def test_our_own_fault_is_listed_with_its_correlation_id(
    admin: Client, viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("as tests do")

    monkeypatch.setattr(funds, "funds", broken)
    answers = [viewer.get("/funds") for _ in range(2)]
    assert problem_of(answers[1]) == (500, "internal_error")
    (error,) = admin.get("/errors").json["items"]
    assert (error["code"], error["place"], error["count"]) == ("ZeroDivisionError", "/funds", 2)
    assert error["correlation_id"] == answers[1].json["correlation_id"]


def test_what_a_caller_got_wrong_is_not_an_error_of_ours(admin: Client) -> None:
    admin.get("/nowhere")
    admin.post("/orders", json={})
    assert admin.get("/errors?severity=critical").json["items"] == []
    assert admin.get("/errors").json["items"] == []
