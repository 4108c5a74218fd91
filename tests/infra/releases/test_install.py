"""Installation of a release from its archive."""

from __future__ import annotations

import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from algosat_release.install import install
from algosat_release.machine import Refused
from tests.infra.releases.fake_server import FakeServer


def archive_of(directory: Path, *names: str) -> Path:
    file = directory / "1.0-a.tar"
    with tarfile.open(file, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, BytesIO(b"text"))
    return file


@pytest.mark.parametrize("inside", ["../beside", "wheels/../../beside"])
def test_archive_with_a_path_outside_the_release_is_rejected(
    server: FakeServer, tmp_path: Path, inside: str
) -> None:
    with pytest.raises(Refused, match="is not a release"):
        install(server.layout, "1.0-a", archive_of(tmp_path, inside))
    assert not server.layout.release("1.0-a").directory.exists()


def test_archive_with_an_absolute_path_is_rejected(server: FakeServer, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(Refused, match="is not a release"):
        install(server.layout, "1.0-a", archive_of(tmp_path, str(elsewhere)))
    assert not elsewhere.exists()


def test_file_that_is_not_an_archive_is_rejected(server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "1.0-a.tar"
    file.write_text("text")
    with pytest.raises(Refused, match="is not a release"):
        install(server.layout, "1.0-a", file)
    assert not server.layout.release("1.0-a").directory.exists()
