"""Words to systemd: ready, still alive, stopping. Where systemd did not start us, nobody listens."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(*words: str) -> None:
    """Send states such as READY=1, WATCHDOG=1, STOPPING=1, STATUS=…"""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        channel.sendall("\n".join(words).encode())
