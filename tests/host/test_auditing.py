"""Audit records, and detection of changed files."""

import pytest
from testinfra.host import Host

from tests.host.variables import Variables

pytestmark = pytest.mark.unit("auditd", "aidecheck", "debsums")
AIDE = "aide --config=/etc/aide/aide.conf"
FILE = "/usr/local/sbin/of-test"


@pytest.fixture(autouse=True)
def require_auditing(variables: Variables) -> None:
    if not variables["auditing_enabled"]:
        pytest.skip("auditing_enabled is off here")


def test_daily_aide_check_is_scheduled(host: Host) -> None:
    assert host.service("aidecheck.timer").is_running
    assert host.service("aidecheck.timer").is_enabled


def test_new_program_is_reported_by_name(host: Host) -> None:
    # AIDE creates its first database in the background of the first run.
    host.check_output("timeout 240 sh -c 'until test -e /var/lib/aide/aide.db; do sleep 1; done'")
    assert FILE not in host.run(f"{AIDE} --check --limit=^/usr/local/sbin").stdout
    try:
        host.check_output(f"cp /bin/true {FILE}")
        report = host.run(f"{AIDE} --check --limit=^/usr/local/sbin")
    finally:
        host.run(f"rm -f {FILE}")
    assert report.rc & 1  # files were added
    assert FILE in report.stdout


def test_aide_database_is_accessible_only_to_root(host: Host) -> None:
    assert host.file("/var/lib/aide").mode == 0o700


def test_auditd_runs_except_in_a_container(host: Host) -> None:
    in_container = host.run("systemd-detect-virt --container").rc == 0
    assert host.service("auditd").is_running != in_container
    if not in_container:
        assert "-k identity" in host.check_output("auditctl -l")


def test_weekly_debsums_check_is_scheduled(host: Host) -> None:
    assert host.service("debsums.timer").is_running
    assert host.service("debsums.timer").is_enabled


def test_unchanged_packages_pass_debsums(host: Host) -> None:
    assert host.check_output("debsums --silent sudo openssh-server") == ""


def test_changed_package_file_fails_the_weekly_check(host: Host) -> None:
    file = "/usr/share/doc/debsums/copyright"
    host.check_output(f"cp -p {file} /run/file-of-test && echo by hand >> {file}")
    try:
        assert host.run("systemctl start debsums.service").failed
        assert f"\n{file}\n" in host.check_output("journalctl --unit=debsums --lines=20 --output=cat")
    finally:
        host.check_output(f"cp -p /run/file-of-test {file} && rm /run/file-of-test")
    host.check_output("systemctl start debsums.service")
