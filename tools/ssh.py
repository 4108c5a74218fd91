"""Reaching a machine over SSH as an operator does: one key of this checkout, and pinned host keys."""

import socket
import time
from pathlib import Path

from tools import locks, shell
from tools.paths import LOCAL
from tools.say import Trouble

DIRECTORY = LOCAL / "ssh"
KEY = DIRECTORY / "id_ed25519"
HERE = "127.0.0.1"


def public_key() -> str:
    """Return the public half of this checkout's key, which is created on first use."""
    with locks.exclusive("ssh-key"):
        if not KEY.exists():
            DIRECTORY.mkdir(mode=0o700, parents=True, exist_ok=True)
            shell.output(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "algosat-local", "-f", str(KEY)]
            )
    return KEY.with_suffix(".pub").read_text().strip()


def forget_key() -> None:
    """Delete the key."""
    for half in (KEY, KEY.with_suffix(".pub")):
        half.unlink(missing_ok=True)


def known_hosts(name: str) -> Path:
    """Return the file with the host key of the machine `name`."""
    return DIRECTORY / f"known_hosts.{name}"


def pin(name: str, host_key: str, *ports: int, address: str = HERE) -> None:
    """Write the host key, as read on the machine itself, to its known_hosts file."""
    places = (address if port == 22 else f"[{address}]:{port}" for port in ports if port)
    known_hosts(name).write_text("".join(f"{place} {host_key.strip()}\n" for place in places))


def options(name: str) -> list[str]:
    """Return the options by which ssh uses only this checkout's key and accepts only the pinned host key."""
    return [
        "-o", f"UserKnownHostsFile={known_hosts(name)}",
        "-o", "StrictHostKeyChecking=yes",
        "-o", "IdentitiesOnly=yes",
    ]  # fmt: skip


def command(name: str, port: int, user: str = "root", address: str = HERE) -> list[str]:
    """Return the ssh command that logs in to the machine."""
    return ["ssh", "-i", str(KEY), *options(name), "-p", str(port), f"{user}@{address}"]


def wait(name: str, *ports: int, address: str = HERE, seconds: float = 30) -> None:
    """Wait until sshd sends its banner at one of the ports.

    This does not log in: a refused login would count as an attack.

    Raises:
        Trouble: there was no banner within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not any(_sends_banner(address, port) for port in ports if port):
        if time.monotonic() > deadline:
            raise Trouble(f"nothing answers SSH on {name}", "look at its console: `systemctl status ssh`")
        time.sleep(0.3)


def _sends_banner(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=3) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
