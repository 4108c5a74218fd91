"""The machine as a whole: daemons, timers, sandboxes and open ports."""

from collections.abc import Callable

import pytest
from testinfra.host import Host

from tests.host.client import Client
from tests.host.variables import Variables

MONITORING = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
DAEMONS = ("ssh", "ufw", "nginx", "redis-server", "fail2ban", *MONITORING)
TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer", "logrotate.timer", "tls-renew.timer")
# Highest accepted exposure levels of `systemd-analyze security`; 10 means no sandbox.
EXPOSURE = {"nginx": 3.0, "fail2ban": 4.0, "redis-server": 2.5, **dict.fromkeys(MONITORING, 1.5)}
PROBED_PORTS = [
    *range(1, 1025),
    2375,
    3000,
    3306,
    5432,
    6379,
    8000,
    8080,
    8443,
    9090,
    9093,
    9100,
    11211,
    27017,
]

# Daemons that the inventory can disable.
SWITCHES: dict[str, Callable[[Variables], bool]] = {
    "fail2ban": lambda variables: variables["fail2ban_enabled"],
    "redis-server": lambda variables: variables["redis_enabled"],
    **dict.fromkeys(MONITORING, lambda variables: variables["monitoring_enabled"]),
}


def require(variables: Variables, name: str) -> None:
    enabled = SWITCHES.get(name)
    if enabled is not None and not enabled(variables):
        pytest.skip(f"{name} is disabled in the inventory")


def test_no_unit_has_failed(host: Host) -> None:
    state = host.run("systemctl is-system-running --wait")
    assert state.stdout.strip() == "running", host.run("systemctl --failed --no-legend").stdout


@pytest.mark.unit(*DAEMONS)
@pytest.mark.parametrize("name", DAEMONS)
def test_daemon_is_running_and_enabled(host: Host, variables: Variables, name: str) -> None:
    require(variables, name)
    started_by_socket = name == "ssh" and host.system_info.distribution == "ubuntu"
    unit = "ssh.socket" if started_by_socket else f"{name}.service"
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled


@pytest.mark.parametrize("timer", TIMERS)
def test_timer_is_running_and_enabled(host: Host, variables: Variables, timer: str) -> None:
    require(variables, timer)
    assert host.service(timer).is_running
    assert host.service(timer).is_enabled


@pytest.mark.parametrize("name", EXPOSURE)
def test_unit_is_sandboxed(host: Host, variables: Variables, name: str) -> None:
    require(variables, name)
    output = host.check_output("systemd-analyze security --no-pager %s.service", name)
    level = float(output.rpartition("Overall exposure level for")[2].split(":")[1].split()[0])
    assert level <= EXPOSURE[name]


def test_only_the_configured_ports_are_open(client: Client, variables: Variables) -> None:
    # Ports of additional firewall rules may be closed: a rule may name other sources, or nothing listens.
    opened = {80, 443, *variables["ssh_ports"]}
    added = {rule["port"] for rule in variables["algosat_firewall_rules"]}
    found = client.open_ports({*PROBED_PORTS, *opened, *added})
    assert opened <= found <= opened | added
