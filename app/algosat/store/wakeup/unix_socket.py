"""Wake-ups between the processes of one host: Unix datagrams that say "look again".

A datagram that is lost costs latency, never an order: every listener also looks by itself from
time to time.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Final

ENGINE: Final = "engine"
_LARGEST: Final = 256


def web(pid: int | None = None) -> str:
    """The name of a web worker's bell: this one's, or another's."""
    return f"web-{pid or os.getpid()}"


class SocketListener:
    """A listener's own socket in the runtime directory."""

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / f"{name}.sock"
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)

    def wait(self, seconds: float) -> list[str]:
        """The messages that arrived, after at most this long; empty when none did."""
        self._socket.settimeout(seconds)
        try:
            messages = [self._socket.recv(_LARGEST).decode()]
        except (TimeoutError, BlockingIOError):  # the latter when there is no time to wait at all
            return []
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self._socket.recv(_LARGEST).decode())
        return messages

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


class SocketNotifier:
    """Rings the bells of others. Safe in threads; never blocks, never fails."""

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def notify(self, name: str, message: str = "") -> None:
        self._send(f"{name}.sock", message)

    def notify_web(self, message: str) -> None:
        with contextlib.suppress(OSError):
            # Done for every event, and a glob takes ten times as long.
            for name in os.listdir(self._directory):  # noqa: PTH208
                if name.startswith("web-"):
                    self._send(name, message)

    def close(self) -> None:
        self._socket.close()

    def _send(self, name: str, message: str) -> None:
        address = f"{self._directory}/{name}"
        try:
            self._socket.sendto(message.encode()[:_LARGEST], address)
        except ConnectionRefusedError:
            # Its listener died without taking its bell down. The engine's is left: the next engine may have
            # hung its own there meanwhile.
            if name.startswith("web-"):
                Path(address).unlink(missing_ok=True)
        except OSError:
            return  # not there, or its queue is full: it will look by itself
