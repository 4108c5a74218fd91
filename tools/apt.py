"""Packages of the developer's machine, installed unless that needs a password."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tools import locks, shell
from tools.say import Trouble, step

# The package of each command.
COMMANDS = {
    "podman": "podman",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "shellcheck": "shellcheck",
    "curl": "curl",
    "jq": "jq",
    "gpg": "gpg",
    "qemu-system-x86_64": "qemu-system-x86",
    "mke2fs": "e2fsprogs",
    "ip": "iproute2",
}


def ensure_commands(*commands: str) -> None:
    """Install the packages of the commands that are missing. Raises `Trouble` as `ensure` does."""
    ensure(*(COMMANDS[command] for command in commands if not _found(command)))


def ensure(*packages: str) -> None:
    """Install packages of the distribution.

    Raises:
        Trouble: this user may not install packages; the remedy is the command to type.
    """
    wanted = sorted(set(packages))
    if not wanted:
        return
    by_hand = f"sudo apt-get update && sudo apt-get install -y {' '.join(wanted)}"
    missing = Trouble(f"this machine lacks {', '.join(wanted)}", by_hand)
    if shutil.which("apt-get") is None:
        missing.remedy = f"install {', '.join(wanted)} by this system's own means; it is not Debian or Ubuntu"
        raise missing
    if not _allowed():
        raise missing
    with step(f"installing {', '.join(wanted)} from this machine's distribution"), locks.exclusive("apt"):
        _apt_get("update", remedy=by_hand)
        _apt_get("install", "-y", "-qq", *wanted, remedy=by_hand)


def offered(package: str) -> bool:
    """Return whether this machine's distribution has the package."""
    listed = shell.attempt(["apt-cache", "show", "--no-all-versions", package])
    return listed.returncode == 0 and bool(listed.stdout.strip())


def _found(command: str) -> bool:
    beside = (Path(directory, command) for directory in ("/usr/sbin", "/sbin"))
    return shutil.which(command) is not None or any(path.exists() for path in beside)


def _allowed() -> bool:
    """Return whether this user is root or has sudo without a password."""
    return os.geteuid() == 0 or (
        shutil.which("sudo") is not None and shell.attempt(["sudo", "-n", "true"]).returncode == 0
    )


def _apt_get(*arguments: str, remedy: str) -> None:
    noninteractive: Sequence[str] = ("env", "DEBIAN_FRONTEND=noninteractive")
    shell.output([*shell.as_root(), *noninteractive, "apt-get", *arguments], remedy=remedy)
