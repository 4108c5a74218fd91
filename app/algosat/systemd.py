"""A service's side of systemd: state notifications, and the signals that stop the process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from types import FrameType


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
