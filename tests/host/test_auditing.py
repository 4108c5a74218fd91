"""What is done on the machine is recorded, and files do not change unnoticed."""

import pytest
from testinfra.host import Host

from tests.host.told import Told

pytestmark = pytest.mark.unit("auditd", "aidecheck", "debsums")
AIDE = "aide --config=/etc/aide/aide.conf"
FILE = "/usr/local/sbin/of-test"


@pytest.fixture(autouse=True)
def switched_on(told: Told) -> None:
    if not told["auditing_enabled"]:
        pytest.skip("auditing_enabled is off here")


def test_files_are_looked_at_every_day(host: Host) -> None:
    assert host.service("aidecheck.timer").is_running
    assert host.service("aidecheck.timer").is_enabled


def test_program_that_appears_is_told_by_name(host: Host) -> None:
    # The first look goes on beside the rest of a first run.
    host.check_output("timeout 240 sh -c 'until test -e /var/lib/aide/aide.db; do sleep 1; done'")
    assert FILE not in host.run(f"{AIDE} --check --limit=^/usr/local/sbin").stdout
    try:
        host.check_output(f"cp /bin/true {FILE}")
        told = host.run(f"{AIDE} --check --limit=^/usr/local/sbin")
    finally:
        host.run(f"rm -f {FILE}")
    assert told.rc & 1  # files were added
    assert FILE in told.stdout


def test_database_is_roots_alone(host: Host) -> None:
    assert host.file("/var/lib/aide").mode == 0o700


def test_kernel_records_unless_it_is_a_containers(host: Host) -> None:
    in_container = host.run("systemd-detect-virt --container").rc == 0
    assert host.service("auditd").is_running != in_container
    if not in_container:
        assert "-k identity" in host.check_output("auditctl -l")


def test_packages_files_are_compared_every_week(host: Host) -> None:
    assert host.service("debsums.timer").is_running
    assert host.service("debsums.timer").is_enabled


def test_packages_files_can_be_compared_with_what_was_delivered(host: Host) -> None:
    assert host.check_output("debsums --silent sudo openssh-server") == ""


def test_file_that_is_not_as_delivered_fails_the_weekly_look(host: Host) -> None:
    file = "/usr/share/doc/debsums/copyright"
    host.check_output(f"cp -p {file} /run/file-of-test && echo by hand >> {file}")
    try:
        assert host.run("systemctl start debsums.service").failed
        assert f"\n{file}\n" in host.check_output("journalctl --unit=debsums --lines=20 --output=cat")
    finally:
        host.check_output(f"cp -p /run/file-of-test {file} && rm /run/file-of-test")
    host.check_output("systemctl start debsums.service")
