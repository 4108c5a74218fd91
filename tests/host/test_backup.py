"""Backups: made on time and by hand, for nobody else to read, and foreign archives refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.host.test_fail2ban import eventually
from tests.host.test_restore import BACKUP, RESTORE

pytestmark = pytest.mark.unit("algosat-backup", "algosat-drill")

BACKUPS = "/var/lib/algosat/backups"
DRILL = "systemctl start algosat-drill.service"
OFFSITE = "/opt/algosat/bin/offsite.sh"
KEYS = "/etc/algosat/backup"
FOREIGN = f"{BACKUPS}/foreign.tar.gz"


@pytest.fixture(scope="module")
def archive(host: Host) -> str:
    with host.sudo():
        return str(host.check_output(BACKUP)).strip().splitlines()[-1]


@pytest.fixture
def foreign(host: Host) -> Iterator[str]:
    host.check_output(f"tar --create --gzip --file={FOREIGN} --directory=/etc hostname")
    yield FOREIGN
    host.check_output(f"rm {FOREIGN}")


@pytest.fixture
def offsite(host: Host) -> str:
    if not host.file(OFFSITE).exists:
        pytest.skip("backup_restic_repository is not set here")
    return OFFSITE


def health(host: Host) -> str:
    """What health says of the backups; it is asked of the release itself, without the proxy."""
    answer = json.loads(host.check_output("curl -s http://127.0.0.1:8080/health"))
    return f"{answer['components']['backup']}: {answer['details']['backup']}"


def becomes(host: Host, expected: str) -> None:
    """Health keeps a good finding for a moment before it looks again."""
    assert eventually(lambda: health(host) == expected), health(host)


def metric(host: Host, name: str, place: str = "server") -> float:
    shown = host.check_output("curl -s http://127.0.0.1:8080/metrics")
    found = re.search(rf'^algosat_backup_{name}{{place="{place}"}} (\S+)$', shown, re.MULTILINE)
    assert found is not None, f"no algosat_backup_{name} of {place}"
    return float(found[1])


@pytest.mark.parametrize("name", ["algosat-backup.timer", "algosat-drill.timer"])
def test_timer_runs_and_would_after_a_reboot(host: Host, name: str) -> None:
    timer = host.service(name)
    assert timer.is_running
    assert timer.is_enabled


def test_archive_is_named_by_its_moment_and_nobody_elses_to_read(host: Host, archive: str) -> None:
    file = host.file(archive)
    assert (file.user, oct(file.mode)) == ("algosat", oct(0o600))
    assert host.run("expr %s : '%s/algosat-[0-9]*T[0-9]*Z[.]tar[.]gz$'", archive, BACKUPS).rc == 0


@pytest.mark.parametrize(
    "part",
    ["MANIFEST", "SHA256SUMS", "database/algosat.db", "etc/algosat.yaml", "etc/security.yaml", "security/"],
)
def test_archive_holds_what_a_restore_needs(host: Host, archive: str, part: str) -> None:
    names = host.check_output("tar --list --gzip --file=%s", archive).split()
    assert part in {name.partition("/")[2] for name in names}


def test_backup_leaves_no_scratch_behind(host: Host, archive: str) -> None:
    assert host.check_output("find %s -name '.algosat-*'", BACKUPS) == ""


def test_foreign_archive_is_refused(host: Host, foreign: str) -> None:
    refused = host.run(f"{RESTORE} %s", foreign)
    assert refused.rc == 3
    assert "backup.sh did not make it" in refused.stderr


def test_restore_by_somebody_who_may_not_stop_services_says_how(host: Host, archive: str) -> None:
    refused = host.run(f"sudo --user=algosat {RESTORE} %s", archive)
    assert refused.rc == 2
    assert "sudo /opt/algosat/bin/restore.sh" in refused.stderr


def test_drill_proves_the_newest_backup_and_its_figures_are_shown(host: Host, archive: str) -> None:
    before = float(host.check_output("date +%s"))
    host.check_output(DRILL)
    assert metric(host, "drill_success") == 1
    assert metric(host, "drill_timestamp_seconds") >= before
    assert metric(host, "drill_duration_seconds") > 0
    assert metric(host, "size_bytes") == host.file(archive).size
    assert before - 600 < metric(host, "timestamp_seconds") < metric(host, "due_timestamp_seconds")
    becomes(host, "True: proven by a restore drill")
    assert host.check_output("find %s -name '.check.*' -type d", BACKUPS) == ""


@pytest.mark.disposable
def test_drill_of_a_damaged_backup_fails_and_health_says_so(host: Host, archive: str) -> None:
    damaged = f"{BACKUPS}/algosat-29991231T235959Z.tar.gz"
    host.check_output("sudo -u algosat cp %s %s && truncate --size=-100 %s", archive, damaged, damaged)
    try:
        assert host.run(DRILL).rc != 0
        assert metric(host, "drill_success") == 0
        becomes(host, "False: server: its restore drill failed")
    finally:
        host.check_output("rm %s", damaged)
        host.check_output(DRILL)


def test_keys_of_the_off_site_copies_are_hidden_from_the_services(host: Host, offsite: str) -> None:
    for service in ("algosat", "algosat-engine", "algosat-strategies"):
        pid = host.check_output("systemctl show --property=MainPID --value %s", service)
        seen = host.run("nsenter --target %s --mount ls %s", pid, KEYS)
        assert "restic.env" not in seen.stdout
    assert "restic.env" in host.check_output("ls %s", KEYS)


def test_off_site_copy_is_encrypted_and_could_be_restored(host: Host, offsite: str) -> None:
    host.check_output("systemctl start algosat-backup.service")
    proof = host.run(f"{RESTORE} --check --from offsite latest")
    assert proof.rc == 0, proof.stderr
    repository = host.check_output(f". {KEYS}/restic.env && echo $RESTIC_REPOSITORY")
    assert host.run("grep --recursive --quiet --text SQLite %s", repository).rc == 1


@pytest.mark.parametrize(
    "asked", ["yesterday evening", "algosat-20200101T000000Z.tar.gz", "2020-01-01T00:00"]
)
def test_backup_that_is_not_there_is_refused(host: Host, asked: str) -> None:
    assert host.run(f"{RESTORE} %s", asked).rc == 3
