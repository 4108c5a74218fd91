"""Shell programs and units as a server gets them: rendered, and read by their consumers."""

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
    "opt/algosat/bin/release",
    "usr/local/bin/algosat",
)
REPOSITORY_SCRIPTS = ("tools/vault-client", "tools/vault-textconv", "tools/hooks/pre-commit")
UNITS = sorted(it.name for it in (TEMPLATES / "etc" / "systemd" / "system").glob("algosat*.j2"))
SANDBOXED = (
    "algosat.service.j2",
    "algosat-engine.service.j2",
    "algosat-strategies.service.j2",
    "algosat-backup.service.j2",
)


def rendered(path: str, directory: Path) -> Path:
    file = directory / Path(path).name
    file.write_text(server("staging").render(TEMPLATES / f"{path}.j2"))
    return file


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("path", SCRIPTS)
def test_rendered_program_is_clean_for_shellcheck(path: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["shellcheck", rendered(path, tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_programs_of_the_repository_are_clean_for_shellcheck() -> None:
    files = [ROOT / it for it in REPOSITORY_SCRIPTS]
    done = subprocess.run(["shellcheck", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", ["backup.sh", "restore.sh"])
def test_program_explains_itself(script: str, tmp_path: Path) -> None:
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
def test_wrong_usage_ends_with_two(script: str, arguments: list[str], tmp_path: Path) -> None:
    file = rendered(f"opt/algosat/bin/{script}", tmp_path)
    done = subprocess.run(["bash", file, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_every_unit(tmp_path: Path) -> None:
    files = []
    for template in UNITS:
        file = rendered(f"etc/systemd/system/{template.removesuffix('.j2')}", tmp_path)
        # The programs are on the server, not here.
        file.write_text(file.read_text().replace("/opt/algosat/current/bin/algosat", "/bin/true"))
        file.write_text(file.read_text().replace("/opt/algosat/bin/backup.sh", "/bin/true"))
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
