"""Backups: made on time and by hand, for nobody else to read, and foreign archives refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.host.test_restore import BACKUP, RESTORE

pytestmark = pytest.mark.unit("algosat-backup")

BACKUPS = "/var/lib/algosat/backups"
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


def test_timer_runs_and_would_after_a_reboot(host: Host) -> None:
    timer = host.service("algosat-backup.timer")
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
