"""An archive on its way to a release."""

from __future__ import annotations

import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from algosat_release.install import install
from algosat_release.machine import Refused
from tests.infra.releases.pretended import Server


def archive_of(directory: Path, *names: str) -> Path:
    file = directory / "1.0-a.tar"
    with tarfile.open(file, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, BytesIO(b"text"))
    return file


@pytest.mark.parametrize("inside", ["../beside", "wheels/../../beside"])
def test_archive_that_reaches_beside_the_release_is_refused(
    server: Server, tmp_path: Path, inside: str
) -> None:
    with pytest.raises(Refused, match="is no release"):
        install(server.layout, "1.0-a", archive_of(tmp_path, inside))
    assert not server.layout.release("1.0-a").directory.exists()


def test_archive_that_names_a_place_of_its_own_is_refused(server: Server, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(Refused, match="is no release"):
        install(server.layout, "1.0-a", archive_of(tmp_path, str(elsewhere)))
    assert not elsewhere.exists()


def test_what_is_no_archive_is_refused_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "1.0-a.tar"
    file.write_text("text")
    with pytest.raises(Refused, match="is no release"):
        install(server.layout, "1.0-a", file)
    assert not server.layout.release("1.0-a").directory.exists()
