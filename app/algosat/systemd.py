"""A service's side of systemd: state notifications, signals that stop the process, the machine's id."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import signal
import socket
import threading
from pathlib import Path
from types import FrameType
from typing import Final

MACHINE_ID: Final = Path("/etc/machine-id")


def notify(*states: str) -> None:
    """Send states such as READY=1, WATCHDOG=1 or STATUS=…, if systemd started this process."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        channel.sendall("\n".join(states).encode())


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on."""
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


def machine_id(application: str, file: Path | None = None) -> str | None:
    """Return the machine's id for an application, which does not reveal the machine's id itself.

    It is the value of `systemd-id128 machine-id --app-specific=APPLICATION`. Returns None if the machine has
    no id, as in a container without systemd.

    Args:
        application: The application's id, 32 hexadecimal digits.
        file: Has the machine's id; None: /etc/machine-id.
    """
    try:
        text = (file or MACHINE_ID).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    if not re.fullmatch("[0-9a-f]{32}", text) or not int(text, 16):  # also `uninitialized`, before first boot
        return None
    digest = bytearray(hmac.digest(bytes.fromhex(text), bytes.fromhex(application), hashlib.sha256)[:16])
    digest[6] = digest[6] & 0x0F | 0x40  # the bits that make it a UUID of version 4
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()
