"""The application as it was released: its units, its files, and the commands an operator types."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from tests.host.outside import Outside
from tests.host.told import Told

UNITS = ("algosat.socket", "algosat.service", "algosat-engine.service", "algosat-strategies.service")
SERVICES = UNITS[1:]
# `systemd-analyze security`: 10 is no sandbox at all.
EXPOSURE = 2.0

pytestmark = pytest.mark.unit(*SERVICES)


@pytest.mark.parametrize("unit", UNITS)
def test_unit_runs_and_would_after_a_reboot(host: Host, unit: str) -> None:
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled


@pytest.mark.parametrize("unit", SERVICES)
def test_unit_is_sandboxed(host: Host, unit: str) -> None:
    said = host.check_output("systemd-analyze security --no-pager %s", unit)
    level = float(said.rpartition("Overall exposure level for")[2].split(":")[1].split()[0])
    assert level <= EXPOSURE


@pytest.mark.parametrize("unit", SERVICES)
def test_processes_belong_to_the_user_without_rights(host: Host, told: Told, unit: str) -> None:
    group = host.check_output("systemctl show --property=ControlGroup --value %s", unit)
    owners = host.check_output("stat --format=%%U $(sed 's,^,/proc/,' /sys/fs/cgroup%s/cgroup.procs)", group)
    assert set(owners.split()) == {told["algosat_user"]}


@pytest.mark.parametrize(
    ("path", "owner", "mode"),
    [
        ("{algosat_config_directory}", "root", 0o750),
        ("{algosat_config_directory}/algosat.yaml", "root", 0o640),
        ("{algosat_config_directory}/security.yaml", "root", 0o640),
        ("{algosat_data_directory}", "{algosat_user}", 0o750),
        ("{algosat_data_directory}/database", "{algosat_user}", 0o750),
        ("{backup_directory}", "{algosat_user}", 0o750),
        ("{algosat_data_directory}/security", "{algosat_user}", 0o750),
        ("{algosat_log_directory}", "{algosat_user}", 0o750),
        ("{algosat_runtime_directory}", "{algosat_user}", 0o750),
        ("{algosat_home}/current/bin/algosat", "root", 0o755),
    ],
)
def test_file_is_its_owners_alone(host: Host, told: Told, path: str, owner: str, mode: int) -> None:
    file = host.file(told(path))
    assert (file.user, oct(file.mode)) == (told(owner), oct(mode))


def test_settings_in_force_are_accepted_by_the_release(host: Host) -> None:
    assert host.run("algosat config check").rc == 0


def test_store_proves_itself(host: Host) -> None:
    assert host.run("algosat store verify").rc == 0


def test_health_is_answered_on_the_server_itself(host: Host, api: str) -> None:
    health = json.loads(host.check_output(f"curl --silent {api}/health"))
    assert health["status"] in {"healthy", "degraded"}
    assert health["components"]["database"]
    assert health["components"]["engine"]
    assert health["components"]["broker"]


def test_metrics_are_answered_on_the_server_itself_unless_they_are_off(
    host: Host, told: Told, api: str
) -> None:
    metrics = host.check_output(f"curl --silent {api}/metrics")
    answered = "# TYPE algosat_requests_total counter" in metrics
    assert answered == told["algosat_monitoring_metrics_enabled"]


def test_journal_has_structured_lines_unless_it_is_to_have_text(host: Host, told: Told) -> None:
    line = host.run("journalctl --unit=algosat.service --output=cat --grep=^{ --lines=1").stdout
    assert bool(line) == (told["algosat_logging_format"] == "json")
    assert not line or {"event", "level", "timestamp"} <= json.loads(line).keys()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/no/such/route", None, 404),
        ("DELETE", "/health", None, 405),
        ("GET", "/orders", None, 401),
        ("POST", "/auth/login", b"{", 400),
    ],
)
def test_bad_request_is_told_as_a_problem(
    outside: Outside, method: str, path: str, body: bytes | None, status: int
) -> None:
    answer = outside.ask(method, path, body, {"Content-Type": "application/json"})
    assert answer.status == status
    assert answer.problem["correlation_id"]


def test_wrong_token_is_told_as_a_problem(outside: Outside) -> None:
    assert outside.get("/orders", {"Authorization": "Bearer wrong"}).problem["status"] == 401
