"""Steady load of orders through nginx, with a record of every request that failed.

Half of the clients open a connection for each request; the others keep theirs open, as browsers and bots do.
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import ssl
import threading
import time
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection, RemoteDisconnected
from types import TracebackType
from typing import Any, Self

from tests.host.client import Client
from tests.host.trader import Trader

CLIENTS = 4
PAUSE_SECONDS = 0.35  # of each client, between two orders
# The pause grows with the response time: a release is refused while orders have pending requests.
PAUSE_PER_RESPONSE, LONGEST_PAUSE_SECONDS = 5, 2.0
# Longer than the timeouts of nginx, so that a failure is a response of the server and not a client timeout.
TIMEOUT_SECONDS = 120
# Each quantity is bought and then sold, so the load can run without end. The gate denies equal orders in a
# row, so each load continues where the previous one stopped. A list, because generators are not thread-safe.
TRADES = itertools.cycle(list(itertools.product(range(1, 60), ("buy", "sell"))))


@dataclass
class Load:
    """Context manager that places orders until it exits. Every response other than 201 is a failure."""

    trader: Trader
    symbol: str
    acknowledged: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    repeated: int = 0  # requests sent again because the server had closed the connection

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._clients = [
            threading.Thread(target=self._trade, args=(number % 2 == 0,)) for number in range(CLIENTS)
        ]

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        self._wait_for(3 * CLIENTS)  # the load is steady before the test continues
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._wait_for(5 * CLIENTS)  # and runs on after it, to detect late failures
        self._stop.set()
        for client in self._clients:
            client.join()

    def not_filled(self) -> dict[str, str]:
        """Return the code, or else the status, of each acknowledged order that was not filled."""
        orders = {order: self.trader.wait_for_order(order) for order in self.acknowledged}
        return {
            order: state["code"] or state["status"]
            for order, state in orders.items()
            if state["status"] != "filled"
        }

    def __str__(self) -> str:
        counts = f"{len(self.acknowledged)} orders acknowledged, {len(self.failures)} requests failed"
        return (
            f"{counts}, {self.repeated} sent again on a new connection, the slowest took {self.slowest:.1f} s"
        )

    def _wait_for(self, responses: int) -> None:
        """Wait for that many more responses, without a time limit."""
        wanted = self._ended + responses
        while self._ended < wanted and all(client.is_alive() for client in self._clients):
            time.sleep(0.05)

    @property
    def _ended(self) -> int:
        return len(self.acknowledged) + len(self.failures)

    def _trade(self, keeps_connection: bool) -> None:
        connection = _Connection(self.trader.client)
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._order(connection)
            except (OSError, HTTPException, ValueError) as error:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {error!r}")
                connection.close()
            took = time.monotonic() - began
            self.slowest = max(self.slowest, took)
            if not keeps_connection:
                connection.close()
            self._stop.wait(min(LONGEST_PAUSE_SECONDS, max(PAUSE_SECONDS, PAUSE_PER_RESPONSE * took)))
        self.repeated += connection.repeated
        connection.close()

    def _order(self, connection: _Connection) -> None:
        quantity, side = next(TRADES)
        order = {"symbol": self.symbol, "side": side, "quantity": str(quantity)}
        order |= {"type": "market", "product": "intraday"}
        headers = {
            "Authorization": f"Bearer {self.trader.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": str(uuid.uuid4()),
        }
        status, text = connection.post("/orders", json.dumps(order), headers)
        if status == 201:
            self.acknowledged.append(json.loads(text)["id"])
        else:
            self.failures.append(f"{time.strftime('%H:%M:%S')} {status} {text[:300]}")


class _Connection:
    """HTTPS connection that is opened on demand, and reopened after the server closed it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tls = client.tls()
        self._connection: HTTPSConnection | None = None
        self.repeated = 0

    def post(self, path: str, body: str, headers: dict[str, str]) -> tuple[int, str]:
        """Send a POST request. Returns the status and the body.

        A server may close a kept connection while a request is on its way, without having read it. Only then
        the request is sent again, on a new connection and with the same idempotency key, as browsers do.
        """
        kept = self._connection
        try:
            return self._post(path, body, headers)
        except (RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            if kept is None or self._connection is not kept:
                raise
            self.repeated += 1
            self.close()
            return self._post(path, body, headers)

    def _post(self, path: str, body: str, headers: dict[str, str]) -> tuple[int, str]:
        connection = self._open()
        connection.request("POST", path, body, {"Host": self._client.server_name, **headers})
        with closing(connection.getresponse()) as response:
            return response.status, response.read().decode()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> HTTPSConnection:
        if self._connection is not None and _was_closed(self._connection.sock):
            self.close()
        if self._connection is None:
            plain = socket.create_connection((self._client.address, 443), timeout=TIMEOUT_SECONDS)
            self._connection = HTTPSConnection(self._client.address, timeout=TIMEOUT_SECONDS)
            self._connection.sock = self._tls.wrap_socket(plain, server_hostname=self._client.server_name)
        return self._connection


def _was_closed(connection: ssl.SSLSocket | Any) -> bool:
    """Return True if the server closed the connection: between requests, nothing else is readable."""
    return connection is None or bool(select.select([connection], [], [], 0)[0])
