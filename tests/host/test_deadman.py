"""The dead-man's switch, which restores files unless it is disarmed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

pytestmark = pytest.mark.unit("deadman@test.service", "deadman@test.timer")
FILE = "/run/deadman-test"
TRACE = "/run/deadman-test.applied"
NEW = "/run/deadman-test.new"


@pytest.fixture(autouse=True)
def file_to_change(host: Host, as_root: None) -> Iterator[None]:
    host.check_output(f"echo old > {FILE} && rm -rf {TRACE} {NEW}")
    yield
    host.run(f"deadman disarm test; rm -rf {FILE} {TRACE} {NEW}")


def arm(host: Host) -> None:
    """Arm the switch, then change a file and create a directory with a file."""
    host.check_output(f"deadman arm test 'echo applied > {TRACE}' {FILE} {NEW} {NEW}/file")
    host.check_output(f"echo new > {FILE} && mkdir {NEW} && echo new > {NEW}/file")


def test_no_switch_is_armed_after_a_run(host: Host) -> None:
    assert host.run("ls /var/lib/deadman").stdout == ""
    assert host.run("systemctl list-timers --all --no-legend 'deadman@*'").stdout == ""


def test_armed_switch_is_running_and_enabled(host: Host) -> None:
    arm(host)
    assert host.service("deadman@test.timer").is_running
    assert host.service("deadman@test.timer").is_enabled
    assert host.file(FILE).content_string == "new\n"


def test_expired_switch_restores_and_applies_the_old_state(host: Host) -> None:
    arm(host)
    host.check_output("systemctl start deadman@test.service")
    assert host.file(FILE).content_string == "old\n"
    assert not host.file(NEW).exists
    assert host.file(TRACE).exists
    assert not host.service("deadman@test.timer").is_enabled


def test_created_directory_with_other_files_is_kept(host: Host) -> None:
    arm(host)
    host.check_output(f"echo mine > {NEW}/mine && deadman fire test")
    assert host.file(NEW).listdir() == ["mine"]
    assert host.file(TRACE).exists
    assert host.run("ls /var/lib/deadman").stdout == ""


def test_disarmed_switch_keeps_the_new_state(host: Host) -> None:
    arm(host)
    host.check_output("deadman disarm test")
    assert host.file(FILE).content_string == "new\n"
    assert not host.service("deadman@test.timer").is_running
    assert not host.service("deadman@test.timer").is_enabled


@pytest.mark.parametrize("verb", ["armed", "disarm"])
def test_command_after_the_switch_expired_fails(host: Host, verb: str) -> None:
    arm(host)
    host.check_output("deadman armed test")
    host.check_output("deadman fire test")
    late = host.run(f"deadman {verb} test")
    assert late.rc == 1
    assert "too late" in late.stderr


def test_arming_an_armed_switch_fails(host: Host) -> None:
    arm(host)
    second = host.run(f"deadman arm test true {FILE}")
    assert second.rc == 1
    assert "already armed" in second.stderr
