from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from algosat.api.context import Services
from algosat.engine.heartbeat import WaitingHeartbeat
from algosat.host.history import HistoryFiles
from algosat.monitoring.health import Finding
from algosat.store import heartbeats as heartbeats_of_store
from algosat.store.tables import heartbeats
from algosat.store.write_lock import exclusive
from tests.app.client import Client, problem_of
from tests.app.host.readings import process, reading


def beat(services: Services, *, ago: float = 0, active: bool = True, **more: Any) -> None:
    broker = {"name": "paper", "active": active, "detail": "as the test says"}
    row = {"process": "engine", "at": services.clock() - timedelta(seconds=ago)}
    with services.database.engine.begin() as connection:
        connection.execute(insert(heartbeats), {**row, "data": {"pid": 1, "broker": broker, **more}})


@pytest.fixture(autouse=True)
def _roomy_machine(admin: Client) -> None:
    """Keep the load of this machine from degrading health."""
    thresholds = dict.fromkeys(("cpu_threshold", "memory_threshold", "disk_threshold"), 100)
    admin.put("/config/update", json={"section": "vps", "updates": thresholds})


def components(client: Client) -> dict[str, bool]:
    found: dict[str, bool] = client.get("/health").json["components"]
    return found


def test_server_is_healthy_with_a_recent_engine_heartbeat(services: Services, anonymous: Client) -> None:
    beat(services)
    answer = anonymous.get("/health")
    assert set(answer.json) == {"status", "timestamp", "components", "details"}
    wrong = {name for name, ok in answer.json["components"].items() if not ok} - {"vps"}
    assert wrong == set()
    assert answer.status_code == 200


def test_server_is_unhealthy_without_its_engine(anonymous: Client) -> None:
    answer = anonymous.get("/health")
    assert (answer.status_code, answer.json["status"]) == (503, "unhealthy")
    assert answer.json["details"]["engine"] == "has never run on this store"


@pytest.mark.parametrize("ago", [60, -60], ids=["long ago", "before the clock was put back"])
def test_engine_without_a_recent_heartbeat_is_unhealthy(
    services: Services, anonymous: Client, ago: float
) -> None:
    beat(services, ago=ago)
    assert components(anonymous)["engine"] is False


def test_server_is_degraded_while_its_broker_is_down(services: Services, anonymous: Client) -> None:
    beat(services, active=False)
    answer = anonymous.get("/health")
    assert (answer.status_code, answer.json["status"]) == (200, "degraded")
    assert answer.json["components"]["broker"] is False


def test_store_of_another_machine_degrades_health_without_naming_it(
    services: Services, anonymous: Client
) -> None:
    WaitingHeartbeat(list(services.desks)).write()
    answer = anonymous.get("/health")
    assert (answer.status_code, answer.json["status"]) == (200, "degraded")
    assert answer.json["components"]["machine"] is False
    assert answer.json["components"]["engine"] is True  # a release or a restore is not undone for this
    assert "algosat engine adopt" in answer.json["details"]["machine"]


@pytest.mark.sqlite
def test_server_is_not_ready_while_another_program_locks_the_store(
    services: Services, anonymous: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("algosat.health_checks._WRITE_SECONDS", 0.05)
    with exclusive(services.database):
        answer = anonymous.get("/health")
    assert answer.json["components"]["database"] is False
    assert answer.json["details"]["database"].startswith("takes no writes: ")


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("pragma", "detail"),
    [
        ("query_only = ON", "The store is read-only; check its file system and permissions"),
        ("max_page_count = 1", "The disk of the store is full; free space on it"),
    ],
)
def test_server_is_not_ready_while_the_store_takes_no_writes(
    services: Services, anonymous: Client, monkeypatch: pytest.MonkeyPatch, pragma: str, detail: str
) -> None:
    fill = "CREATE TABLE fill AS SELECT zeroblob(100000)"
    real = heartbeats_of_store.write

    def write(connection: Connection, *row: Any) -> None:
        if "max_page_count" in pragma:
            connection.execute(text(f"PRAGMA {pragma}")).all()
            connection.execute(text(fill))
        real(connection, *row)

    if "query_only" in pragma:
        services.writer.run(lambda connection: connection.execute(text(f"PRAGMA {pragma}")))
    monkeypatch.setattr(heartbeats_of_store, "write", write)
    answer = anonymous.get("/health/ready")
    assert (answer.status_code, answer.json["detail"]) == (503, f"takes no writes: {detail}")


def test_position_without_a_price_degrades_health_without_naming_it(
    services: Services, anonymous: Client
) -> None:
    beat(services, unpriced=["ALPHA-EQ"])
    answer = anonymous.get("/health")
    assert (answer.status_code, answer.json["status"]) == (200, "degraded")
    assert answer.json["components"]["prices"] is False
    assert "ALPHA" not in answer.text


def test_invalid_configuration_file_is_reported_before_the_next_start(
    directory: Path, services: Services, anonymous: Client
) -> None:
    beat(services)
    (directory / "security.yaml").write_text("nonsense: true")
    answer = anonymous.get("/health")
    assert answer.json["components"]["config"] is False
    assert "refused at the next start" in answer.json["details"]["config"]


def test_process_is_alive_and_ready(anonymous: Client) -> None:
    assert anonymous.get("/health/live").json == {"status": "alive"}
    assert anonymous.get("/health/ready").json["status"] == "ready"


def test_metrics_are_labelled_by_template_and_never_by_path(viewer: Client) -> None:
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


@pytest.fixture
def reports(services: Services) -> Path:
    directory = services.live.files.algosat.data_directory / "reports"
    directory.mkdir(parents=True)
    return directory


def report_drill(reports: Path, *, success: int, due: float) -> None:
    (reports / "backup.prom").write_text(
        "# HELP algosat_backup_drill_success Whether it could be restored.\n"
        "# TYPE algosat_backup_drill_success gauge\n"
        f'algosat_backup_drill_success{{place="server"}} {success}\n'
        f'algosat_backup_due_timestamp_seconds{{place="server"}} {due}\n'
    )


@pytest.mark.parametrize(
    ("success", "hours_to_go", "detail"),
    [
        (1, 1, "verified by a restore drill"),
        (0, 1, "server: its restore drill failed"),
        (1, -30, "server: the next backup is 30 h overdue"),
    ],
)
def test_backup_is_healthy_only_after_a_recent_successful_restore_drill(
    services: Services, anonymous: Client, reports: Path, success: int, hours_to_go: int, detail: str
) -> None:
    report_drill(reports, success=success, due=services.clock().timestamp() + hours_to_go * 3600)
    answer = anonymous.get("/health").json
    assert answer["details"]["backup"] == detail
    assert answer["components"]["backup"] == ("verified" in detail)


def test_drift_makes_the_server_degraded(services: Services, anonymous: Client, reports: Path) -> None:
    beat(services)
    (reports / "drift.prom").write_text("algosat_drift_differences 2\n")
    answer = anonymous.get("/health")
    assert (answer.status_code, answer.json["status"]) == (200, "degraded")
    assert answer.json["details"]["drift"].startswith("2 differences from the inventory")


def test_comparison_without_drift_shows_its_date(anonymous: Client, reports: Path) -> None:
    (reports / "drift.prom").write_text(
        "algosat_drift_differences 0\nalgosat_drift_timestamp_seconds 1795000000\n"
    )
    assert anonymous.get("/health").json["details"]["drift"] == "no difference on 2026-11-18"


@pytest.mark.parametrize(
    ("failed", "minutes_ago", "detail", "well"),
    [
        ("", 10, "no failed unit", True),
        ('failed{unit="a.service"} 1', 10, "1 units failed: systemctl --failed lists them", False),
        (
            'restarting{unit="a.service"} 1',
            10,
            "1 units keep restarting: systemctl list-units --state=auto-restart",
            False,
        ),
        ("", 61, "no longer counted: systemctl status failed-units.timer", False),
        ("", None, "not counted yet", True),
    ],
)
def test_failed_or_unwatched_unit_degrades_health(
    services: Services,
    anonymous: Client,
    reports: Path,
    failed: str,
    minutes_ago: int | None,
    detail: str,
    well: bool,
) -> None:
    if minutes_ago is not None:
        looked = f"algosat_units_timestamp_seconds {services.clock().timestamp() - minutes_ago * 60}\n"
        (reports / "units.prom").write_text(looked + (f"algosat_unit_{failed}\n" if failed else ""))
    answer = anonymous.get("/health").json
    assert (answer["details"]["units"], answer["components"]["units"]) == (detail, well)


@pytest.mark.parametrize(
    ("hours_to_go", "detail"),
    [
        (1, "renewed in time"),
        (-30, "renewal is 30 h overdue: journalctl -u tls-renew"),
        (None, "not checked yet"),
    ],
)
def test_certificate_is_healthy_until_its_renewal_is_overdue(
    services: Services, anonymous: Client, reports: Path, hours_to_go: int | None, detail: str
) -> None:
    if hours_to_go is not None:
        due = services.clock().timestamp() + hours_to_go * 3600
        (reports / "tls.prom").write_text(f"algosat_certificate_due_timestamp_seconds {due}\n")
    answer = anonymous.get("/health").json
    assert answer["details"]["certificate"] == detail
    assert answer["components"]["certificate"] == ("overdue" not in detail)


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_metrics_include_own_textfiles_and_skip_invalid_ones(
    viewer: Client, reports: Path, accept: str
) -> None:
    report_drill(reports, success=1, due=1e9)
    (reports / "foreign.prom").write_text("node_load1 3\n")
    (reports / "broken.prom").write_text("algosat_x{ 1\n")
    text = viewer.get("/metrics", headers={"Accept": accept}).text
    assert 'algosat_backup_drill_success{place="server"} 1.0' in text
    assert "# HELP algosat_orders_total" in text or "# HELP algosat_orders " in text
    assert text.count("# EOF") == accept.startswith("application")
    assert "node_load1" not in text


def test_status_shows_process_and_machine(viewer: Client) -> None:
    status = viewer.get("/system/status").json
    assert status["environment"] == "testing"
    assert status["host"]["memory_total"] > 0
    assert status["process"]["pid"] > 0
    assert status["components"]["database"]["ok"] is True


def test_recommendations_are_a_list(viewer: Client) -> None:
    answer = viewer.get("/system/recommendations").json
    assert all(item["reason"] and item["remedy"] for item in answer["items"])


def test_root_shows_the_paths_of_the_documentation(anonymous: Client) -> None:
    assert anonymous.get("/").json["documentation"] == "/docs"


def test_status_requires_a_token(anonymous: Client) -> None:
    assert problem_of(anonymous.get("/system/status")) == (401, "unauthenticated")


@pytest.fixture
def machine(services: Services) -> HistoryFiles:
    """The files of the history, which nothing but the test writes."""
    services.sampler.close()
    return HistoryFiles(services.live.files.algosat.runtime_directory)


def machine_check(services: Services) -> Callable[[], Finding]:
    """Return the check of the machine, which /health repeats only after a while."""
    (check,) = (each for each in services.health.checks if each.name == "vps")
    return check.probe


def test_machine_that_has_been_busy_for_minutes_degrades_health(
    admin: Client, services: Services, machine: HistoryFiles
) -> None:
    admin.put("/config/update", json={"section": "vps", "updates": {"cpu_threshold": 90}})
    now = services.clock().timestamp()
    machine.write_recent([reading(at=now, cpu_percent=100.0)])
    check = machine_check(services)
    assert check().ok  # one busy moment
    for ago in range(4, 0, -1):
        machine.add_minute(reading(at=now - 60 * ago, cpu_percent=99.0))
    assert check() == Finding(False, "cpu at 100 % of 90 %")


def test_machine_that_nobody_reads_degrades_health(
    anonymous: Client, services: Services, machine: HistoryFiles
) -> None:
    machine.write_recent([reading(at=services.clock().timestamp() - 120)])
    answer = anonymous.get("/health").json
    assert answer["components"]["vps"] is False
    assert answer["details"]["vps"].startswith("the machine has not been read for 12")


def test_advice_has_reason_evidence_and_variable(
    admin: Client, viewer: Client, services: Services, machine: HistoryFiles
) -> None:
    admin.put("/config/update", json={"section": "vps", "updates": {"memory_threshold": 85}})
    now = services.clock().timestamp()
    machine.write_recent([reading(at=now, memory_percent=91.0)])
    items = viewer.get("/system/recommendations").json["items"]
    (advice,) = [each for each in items if each["subject"] == "memory"]
    assert advice["variable"] == "algosat_api_workers"
    assert advice["evidence"]["values"] == [91.0]
    assert advice["evidence"]["unit"] == "percent"
    assert datetime.fromisoformat(advice["evidence"]["since"]).timestamp() == pytest.approx(now, abs=1)


def test_status_shows_processes_and_history(
    viewer: Client, services: Services, machine: HistoryFiles
) -> None:
    now = services.clock().timestamp()
    for ago in (120, 60):
        machine.add_minute(reading(at=now - ago, cpu_percent=20.0))
    machine.write_recent([reading(at=now, cpu_percent=40.0, processes=(process("engine", pid=7),))])
    status = viewer.get("/system/status").json
    assert status["host"]["cpu_percent"] == 40.0
    assert [(each["name"], each["pid"]) for each in status["processes"]] == [("engine", 7)]
    assert [point["cpu_percent"] for point in status["history"]] == [20.0, 40.0]


def test_clock_that_was_set_degrades_health(services: Services, anonymous: Client) -> None:
    beat(services, clock_set=-600.0)
    answer = anonymous.get("/health").json
    assert answer["components"]["clock"] is False
    assert answer["details"]["clock"] == "was set back by 600.0 s in the last ten minutes"


@pytest.mark.parametrize(
    ("environment", "container", "synchronised", "ok"),
    [
        ("production", False, True, True),
        ("production", False, False, False),
        ("production", True, False, True),
        ("development", False, False, True),
    ],
)
def test_clock_of_a_production_server_must_be_synchronised(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    services: Services,
    anonymous: Client,
    environment: str,
    container: bool,
    synchronised: bool,
    ok: bool,
) -> None:
    beat(services)
    files = services.live.files
    algosat = files.algosat.model_copy(update={"environment": environment})
    monkeypatch.setattr(services.live, "files", files.model_copy(update={"algosat": algosat}))
    monkeypatch.setattr("algosat.health_checks._TIMESYNC", tmp_path / "timesync")
    monkeypatch.setattr("algosat.health_checks.in_container", lambda: container)
    assert components(anonymous)["clock"] is True  # timesyncd does not run
    services.health._known.clear()  # noqa: SLF001
    (tmp_path / "timesync").mkdir()
    if synchronised:
        (tmp_path / "timesync" / "synchronized").touch()
    assert components(anonymous)["clock"] is ok


def test_engine_with_a_late_duty_is_unhealthy_and_the_duty_is_named(
    services: Services, anonymous: Client
) -> None:
    late, now = (services.clock() - timedelta(seconds=ago) for ago in (16, 1))
    rounds = {"losses": late.isoformat(), "router": now.isoformat()}
    beat(services, accounts={"paper": {"broker": {"active": True}, "rounds": rounds}})
    answer = anonymous.get("/health")
    assert (answer.status_code, answer.json["components"]["engine"]) == (503, False)
    assert answer.json["details"]["engine"] == (
        "account paper: the duty losses has not completed a round for 16 s"
    )


def test_engine_that_cannot_start_a_broker_is_not_late(services: Services, anonymous: Client) -> None:
    """The component `broker` says so: the other accounts trade."""
    late = (services.clock() - timedelta(minutes=5)).isoformat()
    beat(services, accounts={"paper": {"broker": {"active": False}, "rounds": {"broker": late}}})
    answer = anonymous.get("/health").json
    assert (answer["components"]["engine"], answer["components"]["broker"]) == (True, False)


def test_order_that_waits_beyond_its_deadline_makes_the_engine_unhealthy(
    services: Services, anonymous: Client
) -> None:
    """A router that hangs sends nothing and rejects nothing."""
    oldest = (services.clock() - timedelta(minutes=1)).isoformat()
    beat(services, accounts={"paper": {"broker": {"active": True}, "oldest_unsent_at": oldest}})
    answer = anonymous.get("/health").json
    assert answer["details"]["engine"] == "account paper: an order has waited 60 s to be sent"


def test_order_book_that_is_not_read_although_the_broker_is_active_is_a_fault(
    services: Services, anonymous: Client
) -> None:
    read_at = (services.clock() - timedelta(minutes=1)).isoformat()
    beat(services, accounts={"paper": {"broker": {"active": True}, "book_read_at": read_at}})
    answer = anonymous.get("/health").json
    assert answer["components"]["broker"] is False
    assert "account paper: the order book was last read 60 s ago" in answer["details"]["broker"]
