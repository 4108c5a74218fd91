"""A service's side of systemd: notifications, exit codes, signals, the machine's id."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from algosat.errors import AlgosatError, ConfigurationError

MACHINE_ID: Final = Path("/etc/machine-id")
REFUSED: Final = 78  # EX_CONFIG, the exit code of a process that systemd does not start again

_ready = threading.Event()


def is_ready() -> bool:
    """Return whether this process has notified systemd that it is ready."""
    return _ready.is_set()


def notify(*states: str) -> None:
    """Send states such as READY=1, WATCHDOG=1 or STATUS=…, if systemd started this process."""
    if "READY=1" in states:
        _ready.set()
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        channel.sendall("\n".join(states).encode())


def restart_may_help(error: Exception) -> bool:
    """Return whether a service that fails with this error at its start may succeed later without a change.

    True for the machine, the store and the broker, which recover by themselves. False for the configuration,
    and for mistakes in the program or its installation, such as a module that is missing.
    """
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.exc import TimeoutError as NoConnection

    if isinstance(error, ConfigurationError):
        return False
    return isinstance(error, OSError | MemoryError | AlgosatError | DBAPIError | NoConnection)


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on."""
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


def call_on_reload(reload: Callable[[], None]) -> None:
    """Call a function whenever `systemctl reload` asks for it, by SIGHUP, from now on."""
    signal.signal(signal.SIGHUP, lambda _number, _frame: reload())


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
