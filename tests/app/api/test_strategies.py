from __future__ import annotations

from typing import Any

import pytest

from algosat.live.supervisor import Supervisor
from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.live.fake_child import Children

BODY: dict[str, Any] = {
    "class": "moving-average-crossover",
    "parameters": {"symbols": ["ALPHA-EQ"], "quantity": "10"},
}


def define(client: Client, name: str = "trend", **parameters: Any) -> Any:
    return client.put(
        f"/strategies/{name}", json={**BODY, "parameters": {**BODY["parameters"], **parameters}}
    )


def test_defined_strategy_is_shown_and_listed_with_the_classes(desk: Desk, trader: Client) -> None:
    defined = define(trader)
    assert (defined.status_code, defined.json["version"]) == (200, 1)
    assert defined.json["parameters"]["slow"] == 30
    assert (defined.json["wanted"], defined.json["status"]) == ("stopped", {"state": "stopped"})
    listed = trader.get("/strategies").json
    assert [each["name"] for each in listed["items"]] == ["trend"]
    assert {each["class"] for each in listed["classes"]} >= {BODY["class"]}
    assert "quantity" in listed["classes"][0]["parameters"]["properties"]


def test_every_version_is_kept_with_its_author(desk: Desk, trader: Client, viewer: Client) -> None:
    define(trader)
    define(trader, fast=5)
    shown = viewer.get("/strategies/trend").json
    assert [(each["version"], each["parameters"]["fast"]) for each in shown["versions"]] == [(2, 5), (1, 10)]
    assert shown["changed_by"] == shown["versions"][0]["created_by"] == "user:trader"


def test_started_strategy_without_a_supervisor_is_unsupervised(desk: Desk, trader: Client) -> None:
    define(trader)
    started = trader.post("/strategies/trend/start").json
    assert (started["wanted"], started["status"]["state"]) == ("running", "unsupervised")
    assert trader.post("/strategies/trend/stop").json["wanted"] == "stopped"


def test_state_reported_by_the_supervisor_is_shown(desk: Desk, trader: Client) -> None:
    define(trader)
    trader.post("/strategies/trend/start")
    supervisor = Supervisor(desk, Children(), fence=lambda _: None)
    for now in (0.0, 1.0):
        supervisor.step(now)
    status = trader.get("/strategies/trend").json["status"]
    assert (status["state"], status["pid"], status["run"], status["crashes"]) == ("running", 1, "1.1", 0)


@pytest.mark.parametrize(
    "difference",
    [
        {"class": "martingale"},
        {"class": 7},
        {"parameters": {}},
        {"parameters": {"symbols": ["NOBODY-EQ"], "quantity": "10"}},
        {"parameters": {"symbols": ["ALPHA-EQ"], "quantity": "10", "fast": 50}},
        {"parameters": {"symbols": ["ALPHA-EQ"], "quantity": "1e400"}},
        {"parameters": None},
        {"more": 1},
    ],
)
def test_invalid_strategy_is_refused_and_not_defined(
    desk: Desk, trader: Client, difference: dict[str, Any]
) -> None:
    status, _ = problem_of(trader.put("/strategies/trend", json={**BODY, **difference}))
    assert status == 422
    assert trader.get("/strategies").json["items"] == []


@pytest.mark.parametrize("name", ["all", "account", "Trend", "a.b"])
def test_ambiguous_name_is_refused(desk: Desk, trader: Client, name: str) -> None:
    assert problem_of(define(trader, name)) == (422, "invalid_body")


def test_viewer_cannot_change_strategies(desk: Desk, trader: Client, viewer: Client) -> None:
    define(trader)
    assert problem_of(define(viewer)) == (403, "forbidden")
    for verb in ("start", "stop"):
        assert problem_of(viewer.post(f"/strategies/trend/{verb}")) == (403, "forbidden")
    assert viewer.get("/strategies/trend").json["version"] == 1


def test_unknown_strategy_is_not_found(desk: Desk, trader: Client) -> None:
    for answer in (
        trader.get("/strategies/nobody"),
        trader.post("/strategies/nobody/start"),
        trader.post("/strategies/nobody/stop"),
    ):
        assert problem_of(answer) == (404, "not_found")
