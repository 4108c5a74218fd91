"""Logs: rules that logrotate understands, looked at often enough."""

import re

from testinfra.host import Host


def test_logrotate_understands_every_rule(host: Host) -> None:
    said = host.run("logrotate --debug /etc/logrotate.conf")
    assert said.rc == 0
    assert "error:" not in said.stderr


def test_timer_looks_every_hour(host: Host) -> None:
    times = host.check_output("systemctl show --property=TimersCalendar logrotate.timer")
    assert re.findall(r"OnCalendar=([^;]+?) ;", times) == ["*-*-* *:00:00"]


def test_applications_log_is_rotated_as_its_owner(host: Host) -> None:
    rule = host.file("/etc/logrotate.d/algosat").content_string
    assert "su algosat algosat" in rule
    assert "/var/log/algosat/algosat.log {" in rule
