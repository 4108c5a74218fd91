"""Packages that machines have already downloaded, kept for the next machine of the same distribution.

Each machine sees them through an overlay of its own, so that several may install at once and none changes what
another reads.
"""

import subprocess
from pathlib import Path

from tools import shell
from tools.paths import CACHE
from tools.podman import command

ARCHIVES = "/var/cache/apt/archives"


def mount(distro: str) -> tuple[str, ...]:
    """Podman options that show the kept packages to a new machine."""
    directory = _directory(distro)
    directory.mkdir(parents=True, exist_ok=True)
    return (f"--volume={directory}:{ARCHIVES}:O",)


def harvest(machine: str, distro: str) -> None:
    """Keep what the machine has downloaded, if it is running; a package kept already is left as it is."""
    packages = shell.attempt([*command(), "exec", machine, "sh", "-c", f"cd {ARCHIVES} && ls | grep '[.]deb$'"])
    new = [name for name in packages.stdout.split() if not (_directory(distro) / name).exists()]
    if not new:
        return
    with subprocess.Popen(
        [*command(), "exec", machine, "tar", "--create", f"--directory={ARCHIVES}", *new], stdout=subprocess.PIPE
    ) as sending:
        subprocess.run(["tar", "--extract", "--no-same-owner", f"--directory={_directory(distro)}"], stdin=sending.stdout)


def _directory(distro: str) -> Path:
    return CACHE / "apt" / distro
