"""Reaching a machine over SSH as an operator would: one key of our own, host keys pinned, never guessed."""

import time
from pathlib import Path

from tools import shell
from tools.paths import LOCAL
from tools.say import Trouble

DIRECTORY = LOCAL / "ssh"
KEY = DIRECTORY / "id_ed25519"


def public_key() -> str:
    """The public half of this checkout's key, made when it is first asked for."""
    if not KEY.exists():
        DIRECTORY.mkdir(mode=0o700, parents=True, exist_ok=True)
        shell.output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "algosat-local", "-f", str(KEY)])
    return KEY.with_suffix(".pub").read_text().strip()


def known_hosts(name: str) -> Path:
    """The file that holds the host key of the machine `name`."""
    return DIRECTORY / f"known_hosts.{name}"


def pin(name: str, port: int, host_key: str) -> None:
    """Write down the host key read on the machine itself, so that no login has to trust what it meets."""
    known_hosts(name).write_text(f"[127.0.0.1]:{port} {host_key.strip()}\n")


def options(name: str) -> list[str]:
    """The options that make ssh use this checkout's key and nothing but the pinned host key."""
    return [
        "-o", f"UserKnownHostsFile={known_hosts(name)}",
        "-o", "StrictHostKeyChecking=yes",
        "-o", "IdentitiesOnly=yes",
    ]  # fmt: skip


def command(name: str, port: int, user: str = "root") -> list[str]:
    """The whole ssh command to the machine."""
    return ["ssh", "-i", str(KEY), *options(name), "-p", str(port), f"{user}@127.0.0.1"]


def wait(name: str, port: int, seconds: float = 30) -> None:
    """Wait until a login works; `Trouble` with ssh's own words when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        login = shell.attempt([*command(name, port), "true"])
        if login.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise Trouble(f"{name} does not accept a login over SSH\n{shell.tail(login)}")
        time.sleep(0.3)
