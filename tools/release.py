"""Releases of the app, named by a digest of their content.

`id` builds nothing; `build` makes the archive that a server installs without a network.

python -m tools.release id|build --python 3.11.2 --machine x86_64
"""

import argparse
import hashlib
import io
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tools import locks, sbom, shell
from tools.paths import CACHE, ROOT
from tools.say import finish
from tools.wheels import Locked, Target, applying, collect, digest

APP = ROOT / "app"
# The time in every archive: the same sources give the same bytes.
EPOCH = 1_577_836_800
# More than the releases that the checks of several servers deploy side by side.
KEPT = 30


def identity(app: Path, target: Target) -> str:
    """Return VERSION-DIGEST, with a digest of the sources and of the locked wheels for the target.

    This builds and fetches nothing, so that a run with nothing to deploy is quick.
    """
    content = hashlib.sha256(target.tag.encode())
    for file in _sources(app):
        content.update(f"\0{file.relative_to(app)}\0{digest(file)}".encode())
    for requirement in applying((app / "requirements.lock").read_text(), target):
        content.update(f"\0{requirement}".encode())
    return f"{_version(app)}-{content.hexdigest()[:12]}"


def build(app: Path, target: Target, directory: Path) -> Path:
    """Return the release's archive, built if missing: wheels, requirements with hashes, bill of materials."""
    archive = directory / f"{identity(app, target)}.tar"
    directory.mkdir(parents=True, exist_ok=True)
    with locks.exclusive("releases"):
        if archive.exists():
            archive.touch()  # pruning removes the oldest
        else:
            _build_archive(app, target, archive)
            _prune(directory)
    return archive


def _build_archive(app: Path, target: Target, archive: Path) -> None:
    locked = applying((app / "requirements.lock").read_text(), target)
    with tempfile.TemporaryDirectory(dir=archive.parent) as work:
        own, wheels = _build_wheel(app, Path(work)), collect(locked, target)
        requirements = (*locked, Locked("algosat", _version(app), frozenset({digest(own)})))
        unfinished = Path(work) / archive.name
        texts = {
            "requirements.txt": "".join(f"{it}\n" for it in requirements),
            sbom.FILE: sbom.of_release(archive.stem, own, wheels, EPOCH),
        }
        _pack(unfinished, [own, *wheels], texts)
        unfinished.rename(archive)


def _sources(app: Path) -> Iterator[Path]:
    yield app / "pyproject.toml"
    for file in sorted((app / "algosat").rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file


def _version(app: Path) -> str:
    project: dict[str, str] = tomllib.loads((app / "pyproject.toml").read_text())["project"]
    return project["version"]


def _build_wheel(app: Path, directory: Path) -> Path:
    shell.output(
        [
            *("env", f"SOURCE_DATE_EPOCH={EPOCH}", sys.executable, "-m", "pip", "wheel", "--quiet"),
            *("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(directory), str(app)),
        ],
        remedy="make deps",
    )
    (wheel,) = directory.glob("algosat-*.whl")
    return wheel


def _pack(archive: Path, wheels: list[Path], texts: dict[str, str]) -> None:
    with tarfile.open(archive, "w") as tar:
        for name, text in texts.items():
            _add(tar, name, text.encode())
        for wheel in sorted(wheels, key=lambda it: it.name):
            _add(tar, f"wheels/{wheel.name}", wheel.read_bytes())


def _prune(directory: Path) -> None:
    newest_first = sorted(directory.glob("*.tar"), key=lambda it: it.stat().st_mtime, reverse=True)
    for archive in newest_first[KEPT:]:
        archive.unlink()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(content), EPOCH, 0o644
    tar.addfile(member, io.BytesIO(content))


def _main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=["id", "build"])
    parser.add_argument("--python", required=True, help="the server's full Python version, such as 3.11.2")
    parser.add_argument("--machine", required=True, choices=["x86_64", "aarch64"])
    arguments = parser.parse_args()
    target = Target(arguments.python, arguments.machine)
    if arguments.verb == "id":
        print(identity(APP, target))
    else:
        print(build(APP, target, CACHE / "releases"))


if __name__ == "__main__":
    finish(_main)
