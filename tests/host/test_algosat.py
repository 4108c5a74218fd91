"""The deployed application: units, files, commands and error responses."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from tests.host.client import Client
from tests.host.variables import Variables

UNITS = ("algosat.socket", "algosat.service", "algosat-engine.service", "algosat-strategies.service")
SERVICES = UNITS[1:]
# Highest accepted exposure level of `systemd-analyze security`; 10 means no sandbox.
EXPOSURE = 2.0

pytestmark = pytest.mark.unit(*SERVICES)


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_running_and_enabled(host: Host, unit: str) -> None:
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled


def test_cleaning_runs_each_night_unless_it_is_switched_off(host: Host, variables: Variables) -> None:
    timer = host.service("algosat-clean.timer")
    assert timer.is_running
    assert timer.is_enabled
    host.run("systemctl start algosat-clean.service")
    shown = host.check_output("systemctl show --property=Result --value algosat-clean.service")
    expected = "success" if variables["algosat_vps_optimization_enabled"] else "exec-condition"
    assert shown == expected


@pytest.mark.parametrize("unit", SERVICES)
def test_unit_is_sandboxed(host: Host, unit: str) -> None:
    output = host.check_output("systemd-analyze security --no-pager %s", unit)
    level = float(output.rpartition("Overall exposure level for")[2].split(":")[1].split()[0])
    assert level <= EXPOSURE


@pytest.mark.parametrize("unit", SERVICES)
def test_processes_run_as_the_service_account(host: Host, variables: Variables, unit: str) -> None:
    group = host.check_output("systemctl show --property=ControlGroup --value %s", unit)
    owners = host.check_output("stat --format=%%U $(sed 's,^,/proc/,' /sys/fs/cgroup%s/cgroup.procs)", group)
    assert set(owners.split()) == {variables["algosat_user"]}


def main_processes(host: Host) -> list[int]:
    """Return the process ids of the services, in the order of SERVICES."""
    shown = host.check_output(f"systemctl show --property=MainPID --value {' '.join(SERVICES)}")
    found = [int(line) for line in shown.split()]
    assert all(found), shown
    return found


def test_reload_takes_over_the_files_and_restarts_nothing(host: Host) -> None:
    before = main_processes(host)
    host.check_output("systemctl reload algosat.service")
    # The other services are reloaded by the reload of the API, and may need longer.
    for unit in SERVICES:
        wait = f'until systemctl show --property=StatusText {unit} | grep "=reloaded: "; do sleep 0.5; done'
        host.check_output("timeout 120 sh -c %s", wait)
    assert main_processes(host) == before


def test_engine_is_killed_last_for_memory(host: Host) -> None:
    scores = {}
    for unit, pid in zip(SERVICES, main_processes(host), strict=True):
        scores[unit] = int(host.check_output("cat /proc/%s/oom_score_adj", str(pid)))
    assert scores["algosat-engine.service"] == min(scores.values())
    assert scores["algosat-strategies.service"] == max(scores.values())


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
        ("{algosat_home}/current/sbom.cdx.json", "root", 0o644),
    ],
)
def test_file_has_its_owner_and_mode(
    host: Host, variables: Variables, path: str, owner: str, mode: int
) -> None:
    file = host.file(variables.expand(path))
    assert (file.user, oct(file.mode)) == (variables.expand(owner), oct(mode))


@pytest.mark.parametrize(
    "directory", ["{algosat_data_directory}", "{algosat_log_directory}", "{algosat_config_directory}"]
)
def test_no_file_of_the_services_is_open_to_other_users(
    host: Host, variables: Variables, directory: str
) -> None:
    with host.sudo():
        # A file may be gone before `find` has read its mode: a WAL, a rotated log. Root writes reports
        # for the application, and hold no secret.
        found = host.run(
            "find %s -type f -not -path '*/reports/*' -perm /o+rwx 2>/dev/null", variables.expand(directory)
        ).stdout
    assert found == ""


def test_release_accepts_the_installed_configuration(host: Host) -> None:
    assert host.run("algosat config check").rc == 0


def test_store_is_consistent(host: Host) -> None:
    assert host.run("algosat store verify").rc == 0


def test_health_is_available_on_the_server(host: Host, api: str) -> None:
    health = json.loads(host.check_output(f"curl --silent {api}/health"))
    assert health["status"] in {"healthy", "degraded"}
    assert health["components"]["database"]
    assert health["components"]["engine"]
    assert health["components"]["broker"]


def test_metrics_are_available_on_the_server_if_enabled(host: Host, variables: Variables, api: str) -> None:
    metrics = host.check_output(f"curl --silent {api}/metrics")
    available = "# TYPE algosat_requests_total counter" in metrics
    assert available == variables["algosat_monitoring_metrics_enabled"]


def test_journal_lines_have_the_configured_format(host: Host, variables: Variables) -> None:
    line = host.run("journalctl --unit=algosat.service --output=cat --grep=^{ --lines=1").stdout
    assert bool(line) == (variables["algosat_logging_format"] == "json")
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
def test_bad_request_gets_a_problem_response(
    client: Client, method: str, path: str, body: bytes | None, status: int
) -> None:
    response = client.request(method, path, body, {"Content-Type": "application/json"})
    assert response.status == status
    assert response.problem["correlation_id"]


def test_invalid_token_gets_a_problem_response(client: Client) -> None:
    assert client.get("/orders", {"Authorization": "Bearer wrong"}).problem["status"] == 401
