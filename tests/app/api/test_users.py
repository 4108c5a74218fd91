from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from algosat.api.context import Services
from algosat.store import audit
from tests.app.client import Client, problem_of

ANN = {"username": "ann", "password": "a fine long secret", "role": "trader"}


def test_added_user_can_log_in(app: Flask, admin: Client) -> None:
    answer = admin.post("/users", json=ANN)
    assert answer.status_code == 201
    assert "password" not in answer.json
    assert Client(app).log_in("ann", ANN["password"]).get("/funds").status_code == 200


@pytest.mark.parametrize("name", ["TRADER", "Trader", "tradeR"])
def test_name_that_differs_only_in_case_is_a_conflict(admin: Client, name: str) -> None:
    answer = admin.post("/users", json={**ANN, "username": name})
    assert problem_of(answer) == (409, "user_exists")
    assert "trader already" in answer.json["detail"]


def test_existing_username_is_a_conflict(admin: Client) -> None:
    admin.post("/users", json=ANN)
    assert problem_of(admin.post("/users", json=ANN)) == (409, "user_exists")


@pytest.mark.parametrize(
    "difference",
    [{"username": "a b"}, {"username": ""}, {"username": "x" * 65}, {"username": "ann\x00"}, {"role": "root"},
     {"password": "short"}, {"password": None}, {"role": 1}, {"is_admin": True}],
)  # fmt: skip
def test_invalid_user_is_not_added(admin: Client, difference: dict[str, Any]) -> None:
    assert problem_of(admin.post("/users", json={**ANN, **difference}))[0] == 422
    assert len(admin.get("/users").json["items"]) == 3


def test_last_admin_can_neither_be_disabled_nor_demoted(admin: Client) -> None:
    for change in ({"disabled": True}, {"role": "viewer"}):
        assert problem_of(admin.patch("/users/admin", json=change)) == (409, "last_admin")
    assert admin.get("/users/admin").json["role"] == "admin"


def test_refused_part_of_a_change_rolls_back_the_rest(admin: Client) -> None:
    answer = admin.patch("/users/trader", json={"role": "viewer", "password": "short"})
    assert problem_of(answer) == (422, "weak_password")
    assert admin.get("/users/trader").json["role"] == "trader"


def test_password_set_by_an_admin_ends_the_sessions(app: Flask, admin: Client, trader: Client) -> None:
    assert admin.patch("/users/trader", json={"password": "another long secret"}).status_code == 200
    assert problem_of(trader.get("/funds")) == (401, "unauthenticated")
    assert Client(app).log_in("trader", "another long secret").token


def test_unknown_user_is_not_found(admin: Client) -> None:
    assert problem_of(admin.get("/users/nobody")) == (404, "not_found")
    assert problem_of(admin.patch("/users/nobody", json={"role": "viewer"})) == (404, "not_found")


def test_audit_trail_has_the_author_of_changes_to_users(services: Services, admin: Client) -> None:
    admin.post("/users", json=ANN)
    admin.patch("/users/ann", json={"role": "viewer", "disabled": True})
    with services.database.read() as connection:
        trail = [(e.kind, e.actor) for e in audit.all_events(connection) if e.subject == "ann"]
    assert trail == [
        ("user.added", "user:admin"),
        ("user.role_changed", "user:admin"),
        ("user.disabled", "user:admin"),
    ]
