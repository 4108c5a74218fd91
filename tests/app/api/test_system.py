from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from algosat.api.context import Services
from algosat.store.tables import heartbeats
from tests.app.client import Client, problem_of


def beat(services: Services, *, ago: float = 0, active: bool = True) -> None:
    broker = {"name": "paper", "active": active, "detail": "as the test says"}
    row = {"process": "engine", "at": services.clock() - timedelta(seconds=ago)}
    with services.database.engine.begin() as connection:
        connection.execute(insert(heartbeats), {**row, "data": {"pid": 1, "broker": broker}})


@pytest.fixture(autouse=True)
def _roomy_machine(admin: Client) -> None:
    """Whatever else this machine is doing while the tests run."""
    thresholds = dict.fromkeys(("cpu_threshold", "memory_threshold", "disk_threshold"), 100)
    admin.put("/config/update", json={"section": "vps", "updates": thresholds})


def components(client: Client) -> dict[str, bool]:
    found: dict[str, bool] = client.get("/health").json["components"]
    return found


def test_server_is_healthy_while_its_engine_beats(services: Services, stranger: Client) -> None:
    beat(services)
    answer = stranger.get("/health")
    assert set(answer.json) == {"status", "timestamp", "components", "details"}
    wrong = {name for name, ok in answer.json["components"].items() if not ok} - {"vps"}
    assert wrong == set()
    assert answer.status_code == 200


def test_server_is_unhealthy_without_its_engine(stranger: Client) -> None:
    answer = stranger.get("/health")
    assert (answer.status_code, answer.json["status"]) == (503, "unhealthy")
    assert answer.json["details"]["engine"] == "it has never run on this store"


def test_silent_engine_is_noticed(services: Services, stranger: Client) -> None:
    beat(services, ago=60)
    assert components(stranger)["engine"] is False


def test_server_is_degraded_while_its_broker_is_down(services: Services, stranger: Client) -> None:
    beat(services, active=False)
    answer = stranger.get("/health")
    assert (answer.status_code, answer.json["status"]) == (200, "degraded")
    assert answer.json["components"]["broker"] is False


def test_broken_file_on_disk_is_told_before_the_next_start(
    directory: Path, services: Services, stranger: Client
) -> None:
    beat(services)
    (directory / "security.yaml").write_text("nonsense: true")
    answer = stranger.get("/health")
    assert answer.json["components"]["config"] is False
    assert "refused at the next start" in answer.json["details"]["config"]


def test_process_is_alive_and_ready(stranger: Client) -> None:
    assert stranger.get("/health/live").json == {"status": "alive"}
    assert stranger.get("/health/ready").json["status"] == "ready"


def test_metrics_are_counted_by_template_and_never_by_path(viewer: Client) -> None:
    for _ in range(2):
        viewer.get("/orders/azzzzzzzzzzzzzzzzz")
    viewer.get("/no/such/path/at/all")
    text = viewer.get("/metrics").text
    assert 'algosat_requests_total{endpoint="/orders/{order_id}",method="GET",status="404"}' in text
    assert "azzzzzzzzzzzzzzzzz" not in text
    assert "/no/such/path" not in text
    for name in ("request_duration_seconds", "orders_total", "positions_current", "errors_total"):
        assert f"# HELP algosat_{name}" in text
    assert "# HELP algosat_security_events_total" in text


def test_status_tells_of_process_and_machine(viewer: Client) -> None:
    status = viewer.get("/system/status").json
    assert status["environment"] == "testing"
    assert status["host"]["memory_total"] > 0
    assert status["process"]["pid"] > 0
    assert status["components"]["database"]["ok"] is True


def test_recommendations_are_a_list(viewer: Client) -> None:
    answer = viewer.get("/system/recommendations").json
    assert all(set(item) == {"subject", "urgency", "finding", "remedy"} for item in answer["items"])


def test_root_says_where_to_read_on(stranger: Client) -> None:
    assert stranger.get("/").json["documentation"] == "/docs"


def test_path_kept_for_users_is_closed_to_strangers(stranger: Client) -> None:
    assert problem_of(stranger.get("/system/status")) == (401, "unauthenticated")
