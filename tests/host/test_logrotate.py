"""Logs: rules that logrotate understands, looked at often enough."""

import re

from testinfra.host import Host

from tests.host.told import Told


def test_logrotate_understands_every_rule(host: Host) -> None:
    said = host.run("logrotate --debug /etc/logrotate.conf")
    assert said.rc == 0
    assert "error:" not in said.stderr


def test_timer_looks_as_often_as_it_was_told(host: Host, told: Told) -> None:
    meant = host.check_output("systemd-analyze calendar %s", told["logrotate_schedule"])
    times = host.check_output("systemctl show --property=TimersCalendar logrotate.timer")
    assert re.findall(r"OnCalendar=([^;]+?) ;", times) == re.findall(r"Normalized form: (.+)", meant)


def test_applications_log_is_rotated_as_its_owner(host: Host, told: Told) -> None:
    rule = host.file("/etc/logrotate.d/algosat").content_string
    assert told("su {algosat_user} {algosat_group}\n") in rule
    assert told("size {algosat_logging_max_size}\n") in rule
    assert told("rotate {algosat_logging_backup_count}\n") in rule
    assert told("{algosat_logging_file}") + " {" in rule
