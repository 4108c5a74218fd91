"""The switch that brings an old state back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

pytestmark = pytest.mark.unit("deadman@test.service", "deadman@test.timer")
FILE = "/run/deadman-test"
TRACE = "/run/deadman-test.applied"


@pytest.fixture(autouse=True)
def file_to_change(host: Host, as_root: None) -> Iterator[None]:
    host.check_output(f"echo old > {FILE} && rm -f {TRACE} {FILE}.new")
    yield
    host.run(f"deadman disarm test; rm -f {FILE} {TRACE} {FILE}.new")


def arm(host: Host) -> None:
    host.check_output(f"deadman arm test 'echo applied > {TRACE}' {FILE} {FILE}.new")
    host.check_output(f"echo new > {FILE} && echo new > {FILE}.new")


def test_no_switch_is_left_armed(host: Host) -> None:
    assert host.run("ls /var/lib/deadman").stdout == ""
    assert host.run("systemctl list-timers --all --no-legend 'deadman@*'").stdout == ""


def test_armed_switch_waits_and_would_after_a_reboot(host: Host) -> None:
    arm(host)
    assert host.service("deadman@test.timer").is_running
    assert host.service("deadman@test.timer").is_enabled
    assert host.file(FILE).content_string == "new\n"


def test_clock_that_runs_out_brings_the_old_state_back_and_applies_it(host: Host) -> None:
    arm(host)
    host.check_output("systemctl start deadman@test.service")
    assert host.file(FILE).content_string == "old\n"
    assert not host.file(f"{FILE}.new").exists
    assert host.file(TRACE).exists
    assert not host.service("deadman@test.timer").is_enabled


def test_disarmed_switch_leaves_the_new_state(host: Host) -> None:
    arm(host)
    host.check_output("deadman disarm test")
    assert host.file(FILE).content_string == "new\n"
    assert not host.service("deadman@test.timer").is_running
    assert not host.service("deadman@test.timer").is_enabled


def test_disarming_too_late_is_an_error(host: Host) -> None:
    arm(host)
    host.check_output("deadman fire test")
    late = host.run("deadman disarm test")
    assert late.rc == 1
    assert "too late" in late.stderr


def test_second_change_of_that_name_has_to_wait(host: Host) -> None:
    arm(host)
    second = host.run(f"deadman arm test true {FILE}")
    assert second.rc == 1
    assert "armed already" in second.stderr
