"""Log rotation: valid rules and the configured interval."""

import re

from testinfra.host import Host

from tests.host.variables import Variables


def test_logrotate_accepts_every_rule(host: Host) -> None:
    output = host.run("logrotate --debug /etc/logrotate.conf")
    assert output.rc == 0
    assert "error:" not in output.stderr


def test_timer_runs_at_the_configured_interval(host: Host, variables: Variables) -> None:
    expected = host.check_output("systemd-analyze calendar %s", variables["logrotate_schedule"])
    times = host.check_output("systemctl show --property=TimersCalendar logrotate.timer")
    assert re.findall(r"OnCalendar=([^;]+?) ;", times) == re.findall(r"Normalized form: (.+)", expected)


def test_application_log_is_rotated_as_its_owner(host: Host, variables: Variables) -> None:
    rule = host.file("/etc/logrotate.d/algosat").content_string
    assert variables.expand("su {algosat_user} {algosat_group}\n") in rule
    assert variables.expand("size {algosat_logging_max_size}\n") in rule
    assert variables.expand("rotate {algosat_logging_backup_count}\n") in rule
    assert variables.expand("{algosat_logging_file}") + " {" in rule
