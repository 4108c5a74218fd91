"""The machine as a whole: everything runs, and would again after a reboot."""

from collections.abc import Callable

import pytest
from testinfra.host import Host

from tests.host.outside import Outside
from tests.host.told import Told

DAEMONS = ("ssh", "ufw", "nginx", "redis-server", "fail2ban")
TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer", "logrotate.timer", "tls-renew.timer")
# `systemd-analyze security`: 10 is no sandbox at all.
EXPOSURE = {"nginx": 3.0, "fail2ban": 4.0, "redis-server": 2.5}
KNOCKED_AT = [*range(1, 1025), 2375, 3000, 3306, 5432, 6379, 8000, 8080, 8443, 9090, 9093, 9100, 11211, 27017]


# What is off by the inventory.
SWITCHES: dict[str, Callable[[Told], bool]] = {
    "fail2ban": lambda told: told["fail2ban_enabled"],
    "redis-server": lambda told: told["redis_enabled"],
}


def require(told: Told, name: str) -> None:
    wanted = SWITCHES.get(name)
    if wanted is not None and not wanted(told):
        pytest.skip(f"the inventory does without {name}")


def test_systemd_says_that_everything_runs(host: Host) -> None:
    state = host.run("systemctl is-system-running --wait")
    assert state.stdout.strip() == "running", host.run("systemctl --failed --no-legend").stdout


@pytest.mark.unit(*DAEMONS)
@pytest.mark.parametrize("name", DAEMONS)
def test_daemon_runs_and_would_after_a_reboot(host: Host, told: Told, name: str) -> None:
    require(told, name)
    started_by_socket = name == "ssh" and host.system_info.distribution == "ubuntu"
    unit = "ssh.socket" if started_by_socket else f"{name}.service"
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled


@pytest.mark.parametrize("timer", TIMERS)
def test_timer_waits_for_its_time(host: Host, told: Told, timer: str) -> None:
    require(told, timer)
    assert host.service(timer).is_running
    assert host.service(timer).is_enabled


@pytest.mark.parametrize("name", EXPOSURE)
def test_unit_is_sandboxed(host: Host, told: Told, name: str) -> None:
    require(told, name)
    said = host.check_output("systemd-analyze security --no-pager %s.service", name)
    level = float(said.rpartition("Overall exposure level for")[2].split(":")[1].split()[0])
    assert level <= EXPOSURE[name]


def test_nobody_outside_reaches_more_than_what_was_opened_for_him(outside: Outside, told: Told) -> None:
    # What the inventory adds is open to those it names; whether anything listens there is not said.
    opened = {80, 443, *told["ssh_ports"]}
    added = {rule["port"] for rule in told["algosat_firewall_rules"]}
    found = outside.open_ports({*KNOCKED_AT, *opened, *added})
    assert opened <= found <= opened | added
