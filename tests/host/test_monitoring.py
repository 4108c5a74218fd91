"""Monitoring: reachable from the server only, bounded in memory, and an alert really reaches its receiver."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote, urlsplit

import pytest
from testinfra.host import Host

from tests.host.receiver import PROGRAM
from tests.host.variables import Variables
from tests.infra.test_alert_rules import METRIC, dashboard, rules

UNITS: Final = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
PORTS: Final = {9090: "prometheus", 9093: "prometheus-alert", 9100: "prometheus-node"}
MOST_MIB: Final = 120
PATIENCE: Final = 120

pytestmark = pytest.mark.unit(*UNITS)


@pytest.fixture(autouse=True)
def monitored(variables: Variables) -> None:
    if not variables["monitoring_enabled"]:
        pytest.skip("monitoring_enabled is off here")


@pytest.fixture
def in_container(host: Host) -> bool:
    return bool(host.run("systemd-detect-virt --container --quiet").rc == 0)


def asked(host: Host, path: str) -> Any:
    """Return what Prometheus answers to a request of its API."""
    return json.loads(host.check_output("curl -sf %s", f"http://127.0.0.1:9090/api/v1/{path}"))["data"]


def value_of(host: Host, expression: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked(host, f"query?query={quote(expression)}")["result"]
    return found


def eventually(condition: Callable[[], Any]) -> Any:
    """Return the first value that is true. Fails after a generous time."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return value


def test_daemons_listen_on_the_loopback_address_only(host: Host) -> None:
    listening = [
        line.split() for line in host.check_output("ss -ltnpH").splitlines() if '"prometheus' in line
    ]
    assert {line[3] for line in listening} == {f"127.0.0.1:{port}" for port in PORTS}
    assert "9094" not in host.check_output("ss -lunH")


def test_every_target_answers(host: Host, variables: Variables) -> None:
    own = {"prometheus", "alertmanager", "node"}
    jobs = own | {it["job_name"] for it in variables["monitoring_scrape_configs"]}
    assert eventually(lambda: {it["metric"]["job"] for it in value_of(host, "up == 1")} == jobs)
    assert {it["metric"]["instance"] for it in value_of(host, "up")} == {variables["monitoring_instance"]}


def test_each_metric_of_the_machine_in_rules_and_dashboard_exists(host: Host, in_container: bool) -> None:
    used = {name for rule in rules() for name in METRIC.findall(rule["expr"])}
    used |= {name for expression in dashboard() for name in METRIC.findall(expression)}
    # A container has no clock of its own; the application counts some things only once they have occurred.
    left_out = ("algosat_", "node_timex_") if in_container else ("algosat_",)
    missing = {name for name in used if not name.startswith(left_out)} - set(
        asked(host, "label/__name__/values")
    )
    assert missing == set()


def test_rules_are_evaluated_without_a_failure(host: Host, variables: Variables) -> None:
    groups = asked(host, "rules")["groups"]
    files = {it.rpartition("/")[2].removesuffix(".j2") for it in variables["monitoring_rule_templates"]}
    assert {group["file"] for group in groups} == {
        f"/etc/prometheus/rules/{it}" for it in {"machine.yml", *files}
    }
    assert [rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"] == []


def test_memory_of_all_daemons_is_bounded(host: Host) -> None:
    used = limit = 0.0
    for unit in UNITS:
        shown = host.check_output("systemctl show --property=MemoryHigh,MainPID %s", unit)
        limit += int(re.findall(r"MemoryHigh=(\d+)", shown)[0]) / 2**20
        (process,) = re.findall(r"MainPID=(\d+)", shown)
        dirty = host.check_output("awk '/^Pss_Dirty:/ { print $2 }' /proc/%s/smaps_rollup", process)
        used += int(dirty) / 1024
    assert limit <= MOST_MIB
    # Pages of the programs themselves can be dropped at any time, and are, at the limit.
    assert used <= MOST_MIB


def test_secrets_of_the_channels_are_readable_only_for_their_daemon(host: Host) -> None:
    file = host.file("/etc/prometheus/alertmanager.yml")
    assert (file.user, file.group, file.mode) == ("root", "prometheus", 0o640)


@pytest.fixture
def messages(host: Host, variables: Variables) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Receive what the server sends to the channel on its own loopback address. Returns the alerts so far."""
    channels = [it for it in variables["monitoring_channels"] if "severities" not in it]
    urls = [urlsplit(it.get("url", "")) for it in channels]
    ports = [url.port for url in urls if url.hostname == "127.0.0.1"]
    if not ports:
        pytest.skip("no channel of this server leads to a test receiver")
    host.check_output("install -d /run/test-receiver && rm -f /run/test-receiver/messages")
    program = shlex.quote(PROGRAM.format(port=ports[0]))
    host.check_output(f"systemd-run --quiet --collect --unit=test-receiver python3 -c {program}")

    def received() -> list[dict[str, Any]]:
        lines = host.run("cat /run/test-receiver/messages").stdout.splitlines()
        return [alert for line in lines for alert in json.loads(line)["alerts"]]

    yield received
    host.check_output("systemctl stop test-receiver.service")


@pytest.mark.disposable
def test_stopped_engine_is_told_to_the_receiver_and_so_is_its_recovery(
    host: Host, credentials: tuple[str, str], messages: Callable[[], list[dict[str, Any]]]
) -> None:
    def told(name: str, status: str) -> list[dict[str, Any]]:
        return [it for it in messages() if (it["labels"]["alertname"], it["status"]) == (name, status)]

    host.check_output("systemctl stop algosat-engine.service")
    try:
        (alert, *_) = eventually(lambda: told("EngineSilent", "firing"))
    finally:
        host.check_output("systemctl start algosat-engine.service")
    assert alert["labels"]["severity"] == "critical"
    assert alert["annotations"]["runbook_url"] == "docs/runbook.md#engine"
    assert re.fullmatch(
        r"The engine has been silent for .+: no order is sent\.", alert["annotations"]["summary"]
    )
    assert eventually(lambda: told("EngineSilent", "resolved"))


@pytest.mark.disposable
def test_test_alert_is_accepted_by_every_channel(
    host: Host, credentials: tuple[str, str], messages: Callable[[], list[dict[str, Any]]]
) -> None:
    assert "accepted 2 messages" in host.check_output("test-alert")
    found = [it for it in messages() if it["labels"]["alertname"].startswith("TestAlert")]
    assert {it["labels"]["severity"] for it in found} == {"critical", "warning"}


@pytest.mark.disposable
def test_test_alert_fails_if_a_channel_is_away_and_shows_no_secret(
    host: Host, credentials: tuple[str, str], variables: Variables
) -> None:
    if not variables["monitoring_channels"]:
        pytest.skip("this server has no channel")
    refused = host.run("test-alert")
    assert refused.rc == 1
    assert "refused by: -" not in refused.stdout
    keys = ("url", "bot_token", "auth_password")
    secrets = [it[key] for it in variables["monitoring_channels"] for key in keys if key in it]
    assert "Notify attempt failed" in refused.stdout
    shown = refused.stdout + host.check_output("journalctl --unit=prometheus-alertmanager --output=cat")
    assert [it for it in secrets if it in shown] == []
