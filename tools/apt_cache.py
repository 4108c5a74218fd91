"""Packages that machines have already downloaded, kept for the next machine of the same distribution.

Each machine sees them through an overlay of its own, so that several may install at once and none changes
what another reads. A package appears in the cache only when it is complete.
"""

import subprocess
import tempfile
from pathlib import Path

from tools import podman
from tools.paths import CACHE

ARCHIVES = "/var/cache/apt/archives"


def mount(distro: str) -> tuple[str, ...]:
    """Podman options that show the kept packages to a new machine."""
    directory = _directory(distro)
    directory.mkdir(parents=True, exist_ok=True)
    return (f"--volume={directory}:{ARCHIVES}:O",)


def harvest(machine: str, distro: str) -> None:
    """Keep what the machine has downloaded, if it is running; a package kept already is left as it is."""
    kept = _directory(distro)
    listed = podman.attempt(
        "exec", machine, "find", ARCHIVES, "-maxdepth", "1", "-name", "*.deb", "-printf", "%f\\n"
    )
    new = [name for name in listed.stdout.splitlines() if not (kept / name).exists()]
    if not new:
        return
    pack = [*podman.command(), "exec", machine, "tar", "--create", f"--directory={ARCHIVES}", *new]
    with tempfile.TemporaryDirectory(dir=kept.parent) as incoming:
        unpack = ["tar", "--extract", "--no-same-owner", f"--directory={incoming}"]
        with subprocess.Popen(pack, stdout=subprocess.PIPE) as sending:
            unpacked = subprocess.run(unpack, stdin=sending.stdout, check=False)
        if sending.returncode == unpacked.returncode == 0:
            for package in Path(incoming).iterdir():
                package.rename(kept / package.name)


def _directory(distro: str) -> Path:
    return CACHE / "apt" / distro
