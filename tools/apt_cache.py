"""Cache of downloaded packages, shared by the machines of one distribution.

Each machine mounts the cache through its own overlay, so that several can install at once without changing
what the others read. A package appears in the cache only when it is complete.
"""

import subprocess
import tempfile
from pathlib import Path

from tools import podman
from tools.paths import CACHE

ARCHIVES = "/var/cache/apt/archives"


def mount(distro: str) -> tuple[str, ...]:
    """Return the podman options that mount the cache in a new machine."""
    directory = _directory(distro)
    directory.mkdir(parents=True, exist_ok=True)
    return (f"--volume={directory}:{ARCHIVES}:O",)


def harvest(machine: str, distro: str) -> None:
    """Copy the packages that a running machine has downloaded into the cache, except those already in it."""
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
