"""Rendered shell programs and systemd units, checked by shellcheck and systemd-analyze."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.infra.rendering import server
from tools.paths import ROOT

TEMPLATES = ROOT / "templates"
SCRIPTS = (
    "opt/algosat/bin/backup.sh",
    "opt/algosat/bin/restore.sh",
    "opt/algosat/bin/drill.sh",
    "opt/algosat/bin/offsite.sh",
    "opt/algosat/bin/release",
    "usr/local/bin/algosat",
)
REPOSITORY_SCRIPTS = ("tools/vault-client", "tools/vault-textconv", "tools/hooks/pre-commit")
OFFSITE = {
    "backup_restic_repository": "sftp://backup@192.0.2.7:2222//srv/it's here",
    "backup_restic_password": "x" * 16,
}
APPEND_ONLY = {**OFFSITE, "backup_restic_keep": {}}
ON_POSTGRESQL = {"algosat_database_url": "postgresql+psycopg://trader@/book?host=/run/postgresql"}
ELSEWHERE = {
    "algosat_home": "/srv/it's here",
    "algosat_config_directory": "/etc/it's there",
    "backup_directory": "/srv/archives",
}
UNITS = sorted(it.name for it in (TEMPLATES / "etc" / "systemd" / "system").glob("algosat*.j2"))
SANDBOXED = (
    "algosat.service.j2",
    "algosat-engine.service.j2",
    "algosat-strategies.service.j2",
    "algosat-backup.service.j2",
    "algosat-drill.service.j2",
    "algosat-clean.service.j2",
)


def rendered(path: str, directory: Path, **variables: object) -> Path:
    file = directory / Path(path).name
    file.write_text(server("staging").render(TEMPLATES / f"{path}.j2", **variables))
    return file


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("path", SCRIPTS)
@pytest.mark.parametrize(
    "variables",
    [{}, OFFSITE, APPEND_ONLY, ON_POSTGRESQL, ELSEWHERE],
    ids=["plain", "offsite", "append-only", "postgresql", "elsewhere"],
)
def test_rendered_program_passes_shellcheck(path: str, variables: dict[str, object], tmp_path: Path) -> None:
    file = rendered(path, tmp_path, **variables)
    done = subprocess.run(["shellcheck", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_of_the_repository_pass_shellcheck() -> None:
    files = [ROOT / it for it in REPOSITORY_SCRIPTS]
    done = subprocess.run(["shellcheck", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("variables", "forgets"), [(OFFSITE, True), (APPEND_ONLY, False)])
def test_backup_removes_snapshots_only_with_a_retention_policy(
    variables: dict[str, object], forgets: bool, tmp_path: Path
) -> None:
    assert (" forget " in rendered(SCRIPTS[0], tmp_path, **variables).read_text()) == forgets


@pytest.mark.parametrize("script", ["backup.sh", "restore.sh"])
def test_program_has_a_usage_text(script: str, tmp_path: Path) -> None:
    file = rendered(f"opt/algosat/bin/{script}", tmp_path)
    done = subprocess.run(["bash", file, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: sudo")


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("backup.sh", ["--lable", "x"]),
        ("backup.sh", ["--label", "../x"]),
        ("restore.sh", []),
        ("restore.sh", ["-x"]),
    ],
)
def test_wrong_usage_exits_with_two(script: str, arguments: list[str], tmp_path: Path) -> None:
    file = rendered(f"opt/algosat/bin/{script}", tmp_path)
    done = subprocess.run(["bash", file, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_every_unit(tmp_path: Path) -> None:
    files = []
    for template in UNITS:
        file = rendered(f"etc/systemd/system/{template.removesuffix('.j2')}", tmp_path)
        # The programs exist only on servers.
        file.write_text(file.read_text().replace("/opt/algosat/current/bin/algosat", "/bin/true"))
        file.write_text(re.sub(r"/opt/algosat/bin/\w+\.sh", "/bin/true", file.read_text()))
        files.append(file)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False
    )
    own = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert own == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("template", SANDBOXED)
def test_unit_runs_as_algosat_in_the_sandbox(template: str) -> None:
    text = server("staging").render(TEMPLATES / "etc" / "systemd" / "system" / template)
    for line in ("User=algosat", "NoNewPrivileges=true", "ProtectSystem=strict", "CapabilityBoundingSet="):
        assert line in text.splitlines()


@pytest.mark.parametrize("template", SANDBOXED)
def test_unit_uses_the_configuration_directory(template: str) -> None:
    unit = TEMPLATES / "etc" / "systemd" / "system" / template
    text = server("staging").render(unit, algosat_config_directory="/etc/elsewhere")
    assert 'Environment="ALGOSAT_CONFIG_DIR=/etc/elsewhere"' in text.splitlines()


@pytest.mark.parametrize("script", ["backup.sh", "restore.sh"])
def test_program_uses_the_configuration_directory(script: str, tmp_path: Path) -> None:
    text = rendered(
        f"opt/algosat/bin/{script}", tmp_path, algosat_config_directory="/etc/elsewhere"
    ).read_text()
    assert "readonly configuration=/etc/elsewhere\nexport ALGOSAT_CONFIG_DIR=$configuration\n" in text


def test_algosat_command_uses_the_configuration_directory(tmp_path: Path) -> None:
    program = tmp_path / "current" / "bin" / "algosat"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$ALGOSAT_CONFIG_DIR: $*"\n')
    program.chmod(0o755)
    me = subprocess.check_output(["id", "-un"], text=True).strip()
    places = {
        "algosat_home": str(tmp_path),
        "algosat_config_directory": "/etc/else where",
        "algosat_user": me,
    }
    command = rendered("usr/local/bin/algosat", tmp_path, **places)
    output = subprocess.check_output(["sh", command, "config", "check"], text=True)
    assert output == "/etc/else where: config check\n"


def test_release_program_uses_its_layout_file(tmp_path: Path) -> None:
    text = rendered("opt/algosat/bin/release", tmp_path, algosat_home="/srv/x").read_text()
    assert "PYTHONPATH=/srv/x/lib " in text
    assert "--layout /srv/x/release.json " in text


@pytest.mark.parametrize("unit", ["algosat-backup.service", "algosat-drill.service"])
def test_unit_may_write_to_the_backup_directory(unit: str, tmp_path: Path) -> None:
    text = rendered(f"etc/systemd/system/{unit}", tmp_path, backup_directory="/srv/archives").read_text()
    assert "ReadWritePaths=/srv/archives" in text.splitlines()


@pytest.mark.parametrize(
    ("url", "isolated"),
    [
        ("sqlite:////var/lib/algosat/database/algosat.db", True),
        ("postgresql+psycopg://trader@/book?host=/run/postgresql", True),
        ("postgresql+psycopg://desk:x@localhost:5432/desk", True),
        ("postgresql+psycopg://desk:x@127.0.0.1/desk", True),
        ("postgresql+psycopg://desk:x@localhost.example.org/desk", False),
        ("postgresql+psycopg://desk:x@192.0.2.7:5432/desk", False),
    ],
)
def test_api_has_network_access_only_for_a_remote_store(url: str, isolated: bool, tmp_path: Path) -> None:
    text = rendered("etc/systemd/system/algosat.service", tmp_path, algosat_database_url=url).read_text()
    assert ("IPAddressDeny=any" in text.splitlines()) == isolated


@pytest.mark.parametrize(
    ("repository", "command"),
    [
        ("sftp:backup@192.0.2.7:/srv/x", "ssh -F /etc/algosat/backup/ssh_config backup@192.0.2.7 -s sftp"),
        ("sftp:box:x", "ssh -F /etc/algosat/backup/ssh_config box -s sftp"),
        ("sftp://b@box:2222//srv/x", "ssh -F /etc/algosat/backup/ssh_config -p 2222 b@box -s sftp"),
        ("s3:https://s3.example.com/x", ""),
        ("/srv/x", ""),
    ],
)
def test_sftp_repository_uses_our_key_and_known_hosts(repository: str, command: str) -> None:
    own = server("staging")
    variables = {**own.variables, "backup_restic_repository": repository}
    templar = own.templar.copy_with_new_env(available_variables=variables)
    assert templar.template(variables["_backup_sftp_command"]) == command
