from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from tools.sockets import listen, passing, port_of

# As gunicorn takes a socket: descriptor 3, if LISTEN_PID is the process's own.
SERVER = """
import os, socket
assert (os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"]) == (str(os.getpid()), "1")
with socket.socket(fileno=3) as listener, listener.accept()[0] as client:
    client.sendall(b"from the child")
"""


def test_preferred_port_is_listened_on_if_free() -> None:
    with listen(0) as first:
        preferred = port_of(first)
    with listen(preferred) as again:
        assert port_of(again) == preferred


def test_another_port_is_listened_on_if_the_preferred_one_is_taken() -> None:
    with listen(0) as taken, listen(port_of(taken)) as other:
        assert port_of(other) != port_of(taken)


def test_port_cannot_be_taken_before_the_server_starts() -> None:
    with listen(0) as listener, pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", port_of(listener)))


def test_server_answers_on_the_socket_that_it_gets() -> None:
    with listen(0) as listener:
        command = passing([sys.executable, "-c", SERVER])
        with (
            subprocess.Popen(command, stdin=listener.fileno()) as server,
            socket.create_connection(("127.0.0.1", port_of(listener)), timeout=30) as client,
        ):
            assert client.recv(100) == b"from the child"
        assert server.returncode == 0
