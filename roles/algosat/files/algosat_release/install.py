"""Installation of a release from its archive, without network access."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from algosat_release.layout import BILL_OF_MATERIALS, COMPLETE, Layout
from algosat_release.machine import Failed, Refused, run


def install(layout: Layout, name: str, archive: Path) -> bool:
    """Install releases/NAME from the archive, then remove the archive.

    An incomplete installation is replaced. Returns False if the release is already installed.
    """
    release = layout.release(name)
    if release.is_complete:
        return False
    shutil.rmtree(release.directory, ignore_errors=True)
    release.directory.parent.mkdir(mode=0o755, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="algosat-release-") as unpacked:
            _unpack(archive, Path(unpacked))
            _fill(release.directory, Path(unpacked))
            _keep_bill_of_materials(release.directory, Path(unpacked))
    except (Failed, Refused, OSError):
        shutil.rmtree(release.directory, ignore_errors=True)
        raise
    release.configuration.mkdir(mode=0o750)
    shutil.chown(release.configuration, "root", layout.group)
    (release.directory / COMPLETE).touch()
    archive.unlink()
    return True


def prune(layout: Layout, keep: set[str | None]) -> None:
    """Remove the oldest releases beyond the number to keep, except those named in `keep`."""
    for release in layout.installed()[layout.kept :]:
        if release.name not in keep:
            shutil.rmtree(release.directory)
    for archive in (layout.home / "releases").glob("*.tar"):  # left by an interrupted installation
        archive.unlink()
    for store in layout.home.glob(".store-*"):  # left by an interrupted rollback
        shutil.rmtree(store)


def _unpack(archive: Path, directory: Path) -> None:
    (directory / "wheels").mkdir()
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                _write(directory, member.name, tar.extractfile(member), archive)
    except (OSError, tarfile.TarError) as error:
        raise Refused(f"{archive} is not a release: {error}") from error


def _write(directory: Path, name: str, content: IO[bytes] | None, archive: Path) -> None:
    # extractall(filter=...) does not exist in Debian 12's Python.
    target = directory / name
    if content is None or ".." in target.parts or not target.is_relative_to(directory):
        raise Refused(f"{archive} is not a release: it contains {name}")
    target.write_bytes(content.read())


def _keep_bill_of_materials(directory: Path, unpacked: Path) -> None:
    listed = unpacked / BILL_OF_MATERIALS
    if listed.exists():  # an archive of earlier sources has none
        shutil.copyfile(listed, directory / BILL_OF_MATERIALS)


def _fill(directory: Path, unpacked: Path) -> None:
    run(["/usr/bin/python3", "-m", "venv", directory])
    run(
        [
            *(directory / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"),
            *("--disable-pip-version-check", "--no-cache-dir", "--require-hashes"),
            *(f"--find-links={unpacked / 'wheels'}", f"--requirement={unpacked / 'requirements.txt'}"),
        ]
    )
