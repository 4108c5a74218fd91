"""Backups: schedule, permissions, content, restore drill and rejected archives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml
from testinfra.host import Host

from tests.host.test_fail2ban import eventually
from tests.host.test_restore import RESTORE, backup
from tests.host.variables import Variables

pytestmark = pytest.mark.unit("algosat-backup", "algosat-drill")

DRILL = "systemctl start algosat-drill.service"
KEYS = "{algosat_config_directory}/backup"


@pytest.fixture(scope="module")
def archive(host: Host, variables: Variables) -> str:
    with host.sudo():
        return backup(host, variables)


@pytest.fixture
def foreign(host: Host, variables: Variables) -> Iterator[str]:
    file = variables.expand("{backup_directory}/foreign.tar.gz")
    host.check_output("tar --create --gzip --file=%s --directory=/etc hostname", file)
    yield file
    host.check_output("rm %s", file)


@pytest.fixture
def offsite(variables: Variables) -> None:
    if not variables["backup_restic_repository"]:
        pytest.skip("backup_restic_repository is not set here")


@dataclass(frozen=True)
class BackupStatus:
    """Backup component of /health and backup metrics, read from the application without the proxy."""

    host: Host
    variables: Variables
    api: str

    def health(self) -> str:
        response = json.loads(self.host.check_output(f"curl -s {self.api}/health"))
        return f"{response['components']['backup']}: {response['details']['backup']}"

    def wait_for_health(self, expected: str) -> None:
        """Wait for the health text: the application caches a good result for a short time."""
        assert eventually(lambda: self.health() == expected), self.health()

    def metric(self, name: str, place: str = "server") -> float:
        if self.variables["algosat_monitoring_metrics_enabled"]:
            text = self.host.check_output(f"curl -s {self.api}/metrics")
        else:
            text = self.host.check_output(
                self.variables.expand("cat {algosat_data_directory}/reports/backup.prom")
            )
        found = re.search(rf'^algosat_backup_{name}{{place="{place}"}} (\S+)$', text, re.MULTILINE)
        assert found is not None, f"no algosat_backup_{name} of {place}"
        return float(found[1])


@pytest.fixture
def status(host: Host, variables: Variables, api: str) -> BackupStatus:
    return BackupStatus(host, variables, api)


@pytest.mark.parametrize("name", ["algosat-backup.timer", "algosat-drill.timer"])
def test_timer_is_running_and_enabled(host: Host, name: str) -> None:
    timer = host.service(name)
    assert timer.is_running
    assert timer.is_enabled


def test_archive_is_named_by_its_time_and_is_private(host: Host, variables: Variables, archive: str) -> None:
    file = host.file(archive)
    assert (file.user, oct(file.mode)) == (variables["algosat_user"], oct(0o600))
    directory, _, name = archive.rpartition("/")
    assert directory == variables["backup_directory"]
    assert re.fullmatch(r"algosat-\d{8}T\d{6}Z\.tar\.gz", name)


@pytest.mark.parametrize(
    "part",
    ["MANIFEST", "SHA256SUMS", "database/algosat.db", "etc/algosat.yaml", "etc/security.yaml", "security/"],
)
def test_archive_contains_what_a_restore_needs(host: Host, archive: str, part: str) -> None:
    names = host.check_output("tar --list --gzip --file=%s", archive).split()
    assert part in {name.partition("/")[2] for name in names}


def test_archive_has_the_settings_without_their_secrets(
    host: Host, variables: Variables, archive: str
) -> None:
    for name in ("algosat", "security"):
        member = f"tar --extract --gzip --to-stdout --wildcards --file={archive} '*/etc/{name}.yaml'"
        archived = yaml.safe_load(host.check_output(member))
        file = variables.expand(f"{{algosat_config_directory}}/{name}.yaml")
        in_use = yaml.safe_load(host.file(file).content)
        assert archived.keys() == in_use.keys()
    keys = in_use["encryption"]["keys"]
    content = f"tar --extract --gzip --to-stdout --file={archive}"
    found = host.run(f"{content} | grep --text --count --fixed-strings %s", keys[0])
    assert found.stdout.strip() == "0"


@pytest.mark.usefixtures("archive")
def test_backup_removes_temporary_files_and_surplus_archives(host: Host, variables: Variables) -> None:
    assert host.check_output("find %s -name '.algosat-*'", variables["backup_directory"]) == ""
    kept = host.check_output("find %s -name 'algosat-*Z.tar.gz'", variables["backup_directory"]).split()
    assert 0 < len(kept) <= variables["backup_keep"]


def test_foreign_archive_is_refused(host: Host, variables: Variables, foreign: str) -> None:
    refused = host.run(f"{variables.expand(RESTORE)} %s", foreign)
    assert refused.rc == 3
    assert "backup.sh did not create it" in refused.stderr


def test_restore_without_root_prints_the_sudo_command(host: Host, variables: Variables, archive: str) -> None:
    refused = host.run(f"{variables.expand('sudo --user={algosat_user} ' + RESTORE)} %s", archive)
    assert refused.rc == 2
    assert variables.expand("sudo {algosat_home}/bin/restore.sh") in refused.stderr


def test_drill_verifies_the_newest_backup_and_publishes_metrics(
    host: Host, variables: Variables, status: BackupStatus, archive: str
) -> None:
    before = float(host.check_output("date +%s"))
    host.check_output(DRILL)
    assert status.metric("drill_success") == 1
    assert status.metric("drill_timestamp_seconds") >= before
    assert status.metric("drill_duration_seconds") > 0
    assert status.metric("size_bytes") == host.file(archive).size
    made = status.metric("timestamp_seconds")
    assert before - 600 < made
    assert status.metric("due_timestamp_seconds") == made + variables["backup_max_age_hours"] * 3600
    status.wait_for_health("True: verified by a restore drill")
    assert host.check_output("find %s -name '.check.*' -type d", variables["backup_directory"]) == ""


@pytest.mark.disposable
def test_drill_of_a_damaged_backup_fails_and_degrades_health(
    host: Host, variables: Variables, status: BackupStatus, archive: str
) -> None:
    newest = host.check_output("date --utc --date='1 hour' +%Y%m%dT%H%M%SZ")
    damaged = variables.expand(f"{{backup_directory}}/algosat-{newest}.tar.gz")
    copied = variables.expand("sudo -u {algosat_user} cp %s %s && truncate --size=-100 %s")
    host.check_output(copied, archive, damaged, damaged)
    try:
        assert host.run(DRILL).rc != 0
        assert status.metric("drill_success") == 0
        status.wait_for_health("False: server: its restore drill failed")
    finally:
        host.check_output("rm %s", damaged)
        host.check_output(DRILL)


@pytest.mark.usefixtures("offsite")
def test_off_site_keys_are_hidden_from_the_services(host: Host, variables: Variables) -> None:
    for service in ("algosat", "algosat-engine", "algosat-strategies"):
        pid = host.check_output("systemctl show --property=MainPID --value %s", service)
        seen = host.run("nsenter --target %s --mount ls %s", pid, variables.expand(KEYS))
        assert "restic.env" not in seen.stdout
    assert "restic.env" in host.check_output("ls %s", variables.expand(KEYS))


@pytest.mark.usefixtures("offsite")
def test_off_site_copy_is_encrypted_and_can_be_restored(host: Host, variables: Variables) -> None:
    host.check_output("systemctl start algosat-backup.service")
    check = host.run(f"{variables.expand(RESTORE)} --check --from offsite latest")
    assert check.rc == 0, check.stderr
    repository = variables["backup_restic_repository"]
    if repository.startswith("/"):
        assert host.run("grep --recursive --quiet --text MANIFEST %s", repository).rc == 1


@pytest.mark.parametrize(
    "backup_name", ["yesterday evening", "algosat-20200101T000000Z.tar.gz", "2020-01-01T00:00"]
)
def test_missing_backup_is_refused(host: Host, variables: Variables, backup_name: str) -> None:
    assert host.run(f"{variables.expand(RESTORE)} %s", backup_name).rc == 3
