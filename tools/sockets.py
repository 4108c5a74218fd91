"""Listening sockets, passed to a server as systemd does: another program cannot take the port meanwhile."""

import socket
from collections.abc import Sequence

from tools.say import Trouble

# The child gets the socket as standard input, and passes it on as descriptor 3.
_SCRIPT = 'exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'


def listen(preferred: int) -> socket.socket:
    """Listen on 127.0.0.1 on the preferred port if it is free, otherwise on one that the kernel chooses."""
    for port in (preferred, 0):
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            continue
    raise Trouble("no port is free on 127.0.0.1")


def port_of(listener: socket.socket) -> int:
    """Return the port that a socket listens on."""
    return int(listener.getsockname()[1])


def passing(command: Sequence[str]) -> list[str]:
    """Return the command that runs the given one with the socket that it gets as standard input."""
    return ["/bin/sh", "-c", _SCRIPT, "sh", *command]
