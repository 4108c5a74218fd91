"""The scanners: packages of Debian's archive, pinned by their content and unpacked in a directory of theirs.

No playbook installs them. The machine is a throw-away one, and is no longer what it was afterwards.
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

# Old versions leave the archive and stay in its history.
_ARCHIVES: Final = (
    "http://deb.debian.org/debian",
    "https://snapshot.debian.org/archive/debian/20261101T000000Z",
)
# Where the scanners lie on the machine.
HOME: Final = "/root/audit"
# What they call that a bare machine lacks; linux-base is what every machine with a kernel of its own has.
NEEDS: Final = ("bind9-dnsutils", "bsdextrautils", "linux-base", "openscap-scanner")


@dataclass(frozen=True)
class Package:
    """A package that fits every distribution, and the SHA-256 of its file."""

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
    """Unpack the scanners on the machine, and install what they call."""
    on(machine, f"rm -rf {HOME} && mkdir -p {HOME}")
    for package in _PACKAGES:
        file = _fetched(package)
        podman.podman("cp", str(file), f"{machine}:{HOME}/{file.name}")
        on(machine, f"dpkg --extract {HOME}/{file.name} {HOME}")
    on(machine, f"apt-get -qq update && apt-get -qq -y install --no-install-recommends {' '.join(NEEDS)}")


def on(machine: str, script: str) -> str:
    """What a shell script, run as root on the machine, prints; `Trouble` if it fails."""
    return podman.podman("exec", "--env=DEBIAN_FRONTEND=noninteractive", machine, "sh", "-c", script)


def read(machine: str, path: str) -> str:
    """A file of the machine."""
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
