"""Wake-up signals between the processes of one host, as Unix datagrams."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from algosat.store.wakeup.channels import LONGEST_MESSAGE, WEB_PREFIX


class SocketListener:
    """A datagram socket in the runtime directory, named after its channel."""

    def __init__(self, directory: Path, channel: str) -> None:
        self._path = directory / f"{channel}.sock"
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)

    def wait(self, seconds: float) -> list[str]:
        """Return the messages received, waiting at most `seconds` for the first; empty if there are none."""
        self._socket.settimeout(seconds)
        try:
            messages = [self._socket.recv(LONGEST_MESSAGE).decode()]
        except (TimeoutError, BlockingIOError):  # the latter if `seconds` is 0
            return []
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self._socket.recv(LONGEST_MESSAGE).decode())
        return messages

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


class SocketNotifier:
    """Sends datagrams to the sockets of listeners. Thread-safe; never blocks and never fails."""

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def notify(self, channel: str, message: str = "") -> None:
        self._send(f"{channel}.sock", message)

    def notify_web(self, message: str) -> None:
        with contextlib.suppress(OSError):
            # This runs for every event, and a glob takes ten times as long.
            for name in os.listdir(self._directory):  # noqa: PTH208
                if name.startswith(WEB_PREFIX):
                    self._send(name, message)

    def close(self) -> None:
        self._socket.close()

    def _send(self, name: str, message: str) -> None:
        address = f"{self._directory}/{name}"
        try:
            self._socket.sendto(message.encode()[:LONGEST_MESSAGE], address)
        except ConnectionRefusedError:
            # The listener died without removing its socket. The engine's socket stays: the next engine may
            # have bound its own under the same name by now.
            if name.startswith(WEB_PREFIX):
                Path(address).unlink(missing_ok=True)
        except OSError:
            return  # no such socket, or its queue is full: the listener polls
