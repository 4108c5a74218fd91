"""Reaching a machine over SSH as an operator would: one key of our own, host keys pinned, never guessed."""

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
    """The public half of this checkout's key, made when it is first asked for."""
    with locks.exclusive("ssh-key"):
        if not KEY.exists():
            DIRECTORY.mkdir(mode=0o700, parents=True, exist_ok=True)
            shell.output(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "algosat-local", "-f", str(KEY)]
            )
    return KEY.with_suffix(".pub").read_text().strip()


def forget_key() -> None:
    """Delete the key; no machine knows it any more."""
    for half in (KEY, KEY.with_suffix(".pub")):
        half.unlink(missing_ok=True)


def known_hosts(name: str) -> Path:
    """The file that holds the host key of the machine `name`."""
    return DIRECTORY / f"known_hosts.{name}"


def pin(name: str, host_key: str, *ports: int, address: str = HERE) -> None:
    """Write down the host key read on the machine itself, so that no login has to trust what it meets."""
    places = (address if port == 22 else f"[{address}]:{port}" for port in ports if port)
    known_hosts(name).write_text("".join(f"{place} {host_key.strip()}\n" for place in places))


def options(name: str) -> list[str]:
    """The options that make ssh use this checkout's key and nothing but the pinned host key."""
    return [
        "-o", f"UserKnownHostsFile={known_hosts(name)}",
        "-o", "StrictHostKeyChecking=yes",
        "-o", "IdentitiesOnly=yes",
    ]  # fmt: skip


def command(name: str, port: int, user: str = "root", address: str = HERE) -> list[str]:
    """The whole ssh command to the machine."""
    return ["ssh", "-i", str(KEY), *options(name), "-p", str(port), f"{user}@{address}"]


def wait(name: str, *ports: int, address: str = HERE, seconds: float = 30) -> None:
    """Wait until sshd greets at one of the ports; `Trouble` when it does not in time.

    A greeting is enough: a login as somebody the machine refuses by now would count as an attack.
    """
    deadline = time.monotonic() + seconds
    while not any(_greets(address, port) for port in ports if port):
        if time.monotonic() > deadline:
            raise Trouble(f"nothing answers SSH on {name}", "look at its console: `systemctl status ssh`")
        time.sleep(0.3)


def _greets(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=3) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
