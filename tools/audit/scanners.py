"""The scanners: packages of Debian's archive, pinned by digest and unpacked in a directory of their own.

No playbook installs them. They change the machine, which must be a trial server.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tools import podman, shell
from tools.paths import CACHE
from tools.say import Trouble

# The archive removes old versions; its snapshots keep them.
_ARCHIVES: Final = (
    "http://deb.debian.org/debian",
    "https://snapshot.debian.org/archive/debian/20261101T000000Z",
)
# The directory of the scanners on the machine.
HOME: Final = "/root/audit"
# Packages that the scanners need and a bare machine lacks; linux-base is on every machine with a kernel.
NEEDS: Final = ("bind9-dnsutils", "bsdextrautils", "linux-base", "openscap-scanner")


@dataclass(frozen=True)
class Package:
    """A package for every distribution, with the SHA-256 digest of its file."""

    path: str
    sha256: str


_PACKAGES: Final = (
    Package(
        "l/lynis/lynis_3.1.4-1_all.deb", "0cc9791cdabefe427c6eaf5643d10714aa84fb27b6105ec7773391e6f513fb97"
    ),
    Package(
        "s/scap-security-guide/ssg-debian_0.1.82-1_all.deb",
        "cfde145916f1f37ec96c0fe2a9ea5f44a2db0ee6f0a2dacfcf86534c0977755a",
    ),
    Package(
        "t/testssl.sh/testssl.sh_3.2.1+dfsg-1_all.deb",
        "c6920c9565820e25db2d991ea8c9db882ea339773b126e47e26d623624a6cbe3",
    ),
)


def bring(machine: str) -> None:
    """Unpack the scanners on the machine, and install the packages they need."""
    on(machine, f"rm -rf {HOME} && mkdir -p {HOME}")
    for package in _PACKAGES:
        file = _fetched(package)
        podman.podman("cp", str(file), f"{machine}:{HOME}/{file.name}")
        on(machine, f"dpkg --extract {HOME}/{file.name} {HOME}")
    on(machine, f"apt-get -qq update && apt-get -qq -y install --no-install-recommends {' '.join(NEEDS)}")


def on(machine: str, script: str) -> str:
    """Run a shell script as root on the machine and return its output.

    Raises:
        Trouble: the script failed.
    """
    return podman.podman("exec", "--env=DEBIAN_FRONTEND=noninteractive", machine, "sh", "-c", script)


def read(machine: str, path: str) -> str:
    """Return the content of a file of the machine."""
    return shell.output([*podman.command(), "exec", machine, "cat", path])


def _fetched(package: Package) -> Path:
    kept = CACHE / "audit" / Path(package.path).name
    if not kept.exists():
        content = _downloaded(package)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(content)
    if hashlib.sha256(kept.read_bytes()).hexdigest() != package.sha256:
        kept.unlink()
        raise Trouble(
            f"{kept.name} is not what it was when it was chosen", "repeat; if it stays so, do not trust it"
        )
    return kept


def _downloaded(package: Package) -> bytes:
    said = ""
    for archive in _ARCHIVES:
        try:
            answer = httpx.get(f"{archive}/pool/main/{package.path}", timeout=60, follow_redirects=True)
        except httpx.TransportError as error:
            said = str(error)
            continue
        if answer.is_success:
            return answer.content
        said = f"{answer.status_code} {answer.reason_phrase}"
    raise Trouble(
        f"Debian's archive did not give {package.path}: {said}",
        "see that this machine reaches deb.debian.org",
    )
