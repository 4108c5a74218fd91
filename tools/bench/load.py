"""A client that costs little: plain sockets with keep-alive, driven by one thread."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

_HOST: Final = "127.0.0.1"
_CHUNK: Final = 65536


def request(
    method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> bytes:
    """Return the bytes of a request."""
    payload = b"" if body is None else json.dumps(body).encode()
    stated = {"Host": _HOST, **(headers or {})}
    if body is not None:
        stated |= {"Content-Type": "application/json", "Content-Length": str(len(payload))}
    head = "".join(f"{name}: {value}\r\n" for name, value in stated.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + payload


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """A connection with keep-alive."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((_HOST, port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, sent: bytes) -> Answer:
        """Send a request and return its answer."""
        self.socket.sendall(sent)
        while (answer := self.read()) is None:
            pass
        return answer

    def read(self) -> Answer | None:
        """Receive data; return the answer once it is complete."""
        chunk = self.socket.recv(_CHUNK)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        self._received += chunk
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return None
        self._received = b""
        return Answer(int(head[9:12]), body)


@dataclass(slots=True)
class Load:
    """The answers of several connections."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    waits: list[float] = field(
        default_factory=list
    )  # seconds from sending the request to the complete answer

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.statuses.total() / self.seconds

    def percentile(self, percent: int) -> float:
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]

    def require(self, status: int) -> Self:
        """Raise SystemExit unless every answer had this status: refusals are no measurement."""
        if set(self.statuses) != {status}:
            raise SystemExit(f"every answer should be {status}; they were {dict(self.statuses)}")
        return self


def drive(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> Load:
    """Send requests on every connection, one at a time each, for this long."""
    load = Load()
    with selectors.DefaultSelector() as selector:
        opened = [Connection(port) for _ in range(connections)]
        sent_at: dict[Connection, float] = {}
        began = time.perf_counter()
        for connection in opened:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            sent_at[connection] = time.perf_counter()
            connection.socket.sendall(next(requests))
        while sent_at:
            for key, _ in selector.select():
                connection = key.data
                answer = connection.read()
                if answer is None:
                    continue
                now = time.perf_counter()
                load.statuses[answer.status] += 1
                load.waits.append(now - sent_at.pop(connection))
                if now - began < seconds:
                    sent_at[connection] = time.perf_counter()
                    connection.socket.sendall(next(requests))
        load.seconds = time.perf_counter() - began
        for connection in opened:
            connection.socket.close()
    return load


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
