"""Backups: made on time and by hand, for nobody else to read, and foreign archives refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from testinfra.host import Host

from tests.host.test_fail2ban import eventually
from tests.host.test_restore import RESTORE, backup
from tests.host.told import Told

pytestmark = pytest.mark.unit("algosat-backup", "algosat-drill")

DRILL = "systemctl start algosat-drill.service"
KEYS = "{algosat_config_directory}/backup"


@pytest.fixture(scope="module")
def archive(host: Host, told: Told) -> str:
    with host.sudo():
        return backup(host, told)


@pytest.fixture
def foreign(host: Host, told: Told) -> Iterator[str]:
    file = told("{backup_directory}/foreign.tar.gz")
    host.check_output("tar --create --gzip --file=%s --directory=/etc hostname", file)
    yield file
    host.check_output("rm %s", file)


@pytest.fixture
def offsite(told: Told) -> None:
    if not told["backup_restic_repository"]:
        pytest.skip("backup_restic_repository is not set here")


@dataclass(frozen=True)
class Shown:
    """What the application tells of the backups; it is asked itself, without the proxy."""

    host: Host
    told: Told
    api: str

    def health(self) -> str:
        answer = json.loads(self.host.check_output(f"curl -s {self.api}/health"))
        return f"{answer['components']['backup']}: {answer['details']['backup']}"

    def becomes(self, expected: str) -> None:
        """Health keeps a good finding for a moment before it looks again."""
        assert eventually(lambda: self.health() == expected), self.health()

    def metric(self, name: str, place: str = "server") -> float:
        if self.told["algosat_monitoring_metrics_enabled"]:
            shown = self.host.check_output(f"curl -s {self.api}/metrics")
        else:
            shown = self.host.check_output(self.told("cat {algosat_data_directory}/reports/backup.prom"))
        found = re.search(rf'^algosat_backup_{name}{{place="{place}"}} (\S+)$', shown, re.MULTILINE)
        assert found is not None, f"no algosat_backup_{name} of {place}"
        return float(found[1])


@pytest.fixture
def shown(host: Host, told: Told, api: str) -> Shown:
    return Shown(host, told, api)


@pytest.mark.parametrize("name", ["algosat-backup.timer", "algosat-drill.timer"])
def test_timer_runs_and_would_after_a_reboot(host: Host, name: str) -> None:
    timer = host.service(name)
    assert timer.is_running
    assert timer.is_enabled


def test_archive_is_named_by_its_moment_and_nobody_elses_to_read(
    host: Host, told: Told, archive: str
) -> None:
    file = host.file(archive)
    assert (file.user, oct(file.mode)) == (told["algosat_user"], oct(0o600))
    directory, _, name = archive.rpartition("/")
    assert directory == told["backup_directory"]
    assert re.fullmatch(r"algosat-\d{8}T\d{6}Z\.tar\.gz", name)


@pytest.mark.parametrize(
    "part",
    ["MANIFEST", "SHA256SUMS", "database/algosat.db", "etc/algosat.yaml", "etc/security.yaml", "security/"],
)
def test_archive_holds_what_a_restore_needs(host: Host, archive: str, part: str) -> None:
    names = host.check_output("tar --list --gzip --file=%s", archive).split()
    assert part in {name.partition("/")[2] for name in names}


@pytest.mark.usefixtures("archive")
def test_backup_leaves_no_scratch_behind_and_no_more_archives_than_it_was_told(
    host: Host, told: Told
) -> None:
    assert host.check_output("find %s -name '.algosat-*'", told["backup_directory"]) == ""
    kept = host.check_output("find %s -name 'algosat-*Z.tar.gz'", told["backup_directory"]).split()
    assert 0 < len(kept) <= told["backup_keep"]


def test_foreign_archive_is_refused(host: Host, told: Told, foreign: str) -> None:
    refused = host.run(f"{told(RESTORE)} %s", foreign)
    assert refused.rc == 3
    assert "backup.sh did not create it" in refused.stderr


def test_restore_by_somebody_who_may_not_stop_services_says_how(host: Host, told: Told, archive: str) -> None:
    refused = host.run(f"{told('sudo --user={algosat_user} ' + RESTORE)} %s", archive)
    assert refused.rc == 2
    assert told("sudo {algosat_home}/bin/restore.sh") in refused.stderr


def test_drill_proves_the_newest_backup_and_its_figures_are_shown(
    host: Host, told: Told, shown: Shown, archive: str
) -> None:
    before = float(host.check_output("date +%s"))
    host.check_output(DRILL)
    assert shown.metric("drill_success") == 1
    assert shown.metric("drill_timestamp_seconds") >= before
    assert shown.metric("drill_duration_seconds") > 0
    assert shown.metric("size_bytes") == host.file(archive).size
    made = shown.metric("timestamp_seconds")
    assert before - 600 < made
    assert shown.metric("due_timestamp_seconds") == made + told["backup_max_age_hours"] * 3600
    shown.becomes("True: proven by a restore drill")
    assert host.check_output("find %s -name '.check.*' -type d", told["backup_directory"]) == ""


@pytest.mark.disposable
def test_drill_of_a_damaged_backup_fails_and_health_says_so(
    host: Host, told: Told, shown: Shown, archive: str
) -> None:
    newest = host.check_output("date --utc --date='1 hour' +%Y%m%dT%H%M%SZ")
    damaged = told(f"{{backup_directory}}/algosat-{newest}.tar.gz")
    copied = told("sudo -u {algosat_user} cp %s %s && truncate --size=-100 %s")
    host.check_output(copied, archive, damaged, damaged)
    try:
        assert host.run(DRILL).rc != 0
        assert shown.metric("drill_success") == 0
        shown.becomes("False: server: its restore drill failed")
    finally:
        host.check_output("rm %s", damaged)
        host.check_output(DRILL)


@pytest.mark.usefixtures("offsite")
def test_keys_of_the_off_site_copies_are_hidden_from_the_services(host: Host, told: Told) -> None:
    for service in ("algosat", "algosat-engine", "algosat-strategies"):
        pid = host.check_output("systemctl show --property=MainPID --value %s", service)
        seen = host.run("nsenter --target %s --mount ls %s", pid, told(KEYS))
        assert "restic.env" not in seen.stdout
    assert "restic.env" in host.check_output("ls %s", told(KEYS))


@pytest.mark.usefixtures("offsite")
def test_off_site_copy_is_encrypted_and_could_be_restored(host: Host, told: Told) -> None:
    host.check_output("systemctl start algosat-backup.service")
    proof = host.run(f"{told(RESTORE)} --check --from offsite latest")
    assert proof.rc == 0, proof.stderr
    repository = told["backup_restic_repository"]
    if repository.startswith("/"):
        assert host.run("grep --recursive --quiet --text MANIFEST %s", repository).rc == 1


@pytest.mark.parametrize(
    "asked", ["yesterday evening", "algosat-20200101T000000Z.tar.gz", "2020-01-01T00:00"]
)
def test_backup_that_is_not_there_is_refused(host: Host, told: Told, asked: str) -> None:
    assert host.run(f"{told(RESTORE)} %s", asked).rc == 3
