"""The release builder: content-based names, all supported servers, reproducible archives."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tools import wheels
from tools.paths import ROOT
from tools.release import build, identity
from tools.say import Trouble
from tools.wheels import Target, applying, digest

APP = ROOT / "app"
LOCK = (APP / "requirements.lock").read_text()
DEBIAN_12 = Target("3.11.2", "x86_64")
DEBIAN_13 = Target("3.13.5", "x86_64")
SERVERS = [
    Target(python, machine)
    for python in ("3.11.2", "3.12.3", "3.13.5", "3.14.0")
    for machine in ("x86_64", "aarch64")
]
TWO_PYTHONS = """\
old==1.0 ; python_full_version < '3.12' \\
    --hash=sha256:aa
new==2.0 ; python_full_version >= '3.12' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
windows==3.0 ; sys_platform == 'win32' \\
    --hash=sha256:dd
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    copy = tmp_path / "app"
    package = copy / "algosat"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""An app."""\n')
    (package / "cli.py").write_text("def main() -> None: ...\n")
    shutil.copy(APP / "pyproject.toml", copy)
    (copy / "requirements.lock").write_text("")
    return copy


def test_lock_is_evaluated_for_the_python_of_the_server() -> None:
    assert [it.name for it in applying(TWO_PYTHONS, DEBIAN_12)] == ["old"]
    (new,) = applying(TWO_PYTHONS, DEBIAN_13)
    assert (new.name, new.version, sorted(new.sha256)) == ("new", "2.0", ["bb", "cc"])


def test_requirement_without_a_digest_is_rejected() -> None:
    with pytest.raises(Trouble, match="old is locked without a digest"):
        applying("old==1.0\n", DEBIAN_12)


@pytest.mark.parametrize("target", SERVERS, ids=lambda it: it.tag)
def test_every_package_is_pinned_with_digests_for_every_server(target: Target) -> None:
    locked = applying(LOCK, target)
    assert {"flask", "gunicorn", "sqlalchemy"} <= {it.name for it in locked}
    assert all(it.version and it.sha256 for it in locked)


def test_identity_starts_with_the_version_and_is_stable(app: Path) -> None:
    name = identity(app, DEBIAN_12)
    assert name.startswith("0.1.0-")
    assert identity(app, DEBIAN_12) == name


def test_identity_depends_on_sources_lock_and_server(app: Path) -> None:
    names = {identity(app, DEBIAN_12), identity(app, DEBIAN_13)}
    (app / "algosat" / "cli.py").write_text("def main() -> None: print()\n")
    names.add(identity(app, DEBIAN_12))
    (app / "requirements.lock").write_text(TWO_PYTHONS)
    names.add(identity(app, DEBIAN_12))
    assert len(names) == 4


def test_identity_ignores_compiled_files(app: Path) -> None:
    name = identity(app, DEBIAN_12)
    (app / "algosat" / "__pycache__").mkdir()
    (app / "algosat" / "__pycache__" / "cli.cpython-311.pyc").write_bytes(b"compiled")
    assert identity(app, DEBIAN_12) == name


@pytest.mark.slow
def test_archive_is_reproducible(app: Path, tmp_path: Path) -> None:
    first = build(app, DEBIAN_12, tmp_path / "first")
    second = build(app, DEBIAN_12, tmp_path / "second")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
def test_archive_contains_the_wheel_of_the_app_and_its_digest(app: Path, tmp_path: Path) -> None:
    archive = build(app, DEBIAN_12, tmp_path / "out")
    (tmp_path / "unpacked").mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path / "unpacked"], check=True)
    (wheel,) = (tmp_path / "unpacked" / "wheels").iterdir()
    assert wheel.name == "algosat-0.1.0-py3-none-any.whl"
    requirements = (tmp_path / "unpacked" / "requirements.txt").read_text()
    assert requirements == f"algosat==0.1.0 --hash=sha256:{digest(wheel)}\n"
    listed = json.loads((tmp_path / "unpacked" / "sbom.cdx.json").read_text())
    assert listed["metadata"]["component"]["hashes"][0]["content"] == digest(wheel)


def test_cached_wheel_with_another_digest_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "CACHE", tmp_path)
    cache = tmp_path / "wheels" / DEBIAN_12.tag
    cache.mkdir(parents=True)
    (cache / "old-1.0-py3-none-any.whl").write_bytes(b"tampered")
    downloads: list[str] = []

    def refuse(missing: list[wheels.Locked], *_: object) -> None:
        downloads.extend(it.name for it in missing)
        raise Trouble("no network in this test")

    monkeypatch.setattr(wheels, "_download", refuse)
    with pytest.raises(Trouble, match="no network"):
        wheels.collect(applying(TWO_PYTHONS, DEBIAN_12), DEBIAN_12)
    assert downloads == ["old"]
