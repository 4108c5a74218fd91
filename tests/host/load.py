"""A steady load of orders through nginx, and a list of every request that did not end as it should.

Half of the clients open a connection for each request, the others keep theirs, as browsers and bots do.
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

from tests.host.outside import Outside
from tests.host.trader import Trader

CLIENTS = 4
PAUSE_SECONDS = 0.35  # of each client, between two orders
# On a slow machine it is longer: where orders are always under way, no release may come.
PAUSE_IN_ANSWERS, LONGEST_PAUSE_SECONDS = 5, 2.0
# Longer than nginx waits for the application: what fails is to be told by the server, not guessed here.
TIMEOUT_SECONDS = 120
# What is bought is sold again, so that it can go on for ever. Equal orders in a row are suspect: a load goes
# on where the one before it ended. A list, since a generator breaks when two threads ask it at once.
TRADES = itertools.cycle(list(itertools.product(range(1, 60), ("buy", "sell"))))


@dataclass
class Load:
    """Orders as long as the `with` block lasts. A 201 is a success, everything else a failure."""

    trader: Trader
    symbol: str
    acknowledged: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    repeated: int = 0  # as the line had ended

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._clients = [
            threading.Thread(target=self._trade, args=(number % 2 == 0,)) for number in range(CLIENTS)
        ]

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        self._wait_for(3 * CLIENTS)  # it is steady before anything happens
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._wait_for(5 * CLIENTS)  # and goes on after it: what breaks late is seen too
        self._over.set()
        for client in self._clients:
            client.join()

    def not_filled(self) -> dict[str, str]:
        """Acknowledged orders that ended otherwise than filled: a success that was worth nothing."""
        ended = {order: self.trader.settled(order)["status"] for order in self.acknowledged}
        return {order: status for order, status in ended.items() if status != "filled"}

    def __str__(self) -> str:
        answered = f"{len(self.acknowledged)} orders acknowledged, {len(self.failures)} requests failed"
        return f"{answered}, {self.repeated} sent again on a new line, the slowest took {self.slowest:.1f} s"

    def _wait_for(self, answers: int) -> None:
        """So many requests more, however slow the machine is."""
        wanted = self._ended + answers
        while self._ended < wanted and all(client.is_alive() for client in self._clients):
            time.sleep(0.05)

    @property
    def _ended(self) -> int:
        return len(self.acknowledged) + len(self.failures)

    def _trade(self, keeps_connection: bool) -> None:
        line = _Line(self.trader.outside)
        while not self._over.is_set():
            began = time.monotonic()
            try:
                self._order(line)
            except (OSError, HTTPException, ValueError) as error:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {error!r}")
                line.close()
            took = time.monotonic() - began
            self.slowest = max(self.slowest, took)
            if not keeps_connection:
                line.close()
            self._over.wait(min(LONGEST_PAUSE_SECONDS, max(PAUSE_SECONDS, PAUSE_IN_ANSWERS * took)))
        self.repeated += line.repeated
        line.close()

    def _order(self, line: _Line) -> None:
        quantity, side = next(TRADES)
        order = {"symbol": self.symbol, "side": side, "quantity": str(quantity)}
        order |= {"type": "market", "product": "intraday"}
        headers = {
            "Authorization": f"Bearer {self.trader.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": str(uuid.uuid4()),
        }
        status, text = line.post("/orders", json.dumps(order), headers)
        if status == 201:
            self.acknowledged.append(json.loads(text)["id"])
        else:
            self.failures.append(f"{time.strftime('%H:%M:%S')} {status} {text[:300]}")


class _Line:
    """A connection that is opened when it is needed, and anew when the server has closed it meanwhile."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._tls = outside.tls()
        self._connection: HTTPSConnection | None = None
        self.repeated = 0

    def post(self, path: str, body: str, headers: dict[str, str]) -> tuple[int, str]:
        """What is answered.

        A server may end a kept line while a request is on its way, and has not read it then: under its key it
        may be repeated on a new line, as browsers do. Only then.
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
        connection.request("POST", path, body, {"Host": self._outside.name, **headers})
        with closing(connection.getresponse()) as answer:
            return answer.status, answer.read().decode()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> HTTPSConnection:
        if self._connection is not None and _was_closed(self._connection.sock):
            self.close()
        if self._connection is None:
            plain = socket.create_connection((self._outside.address, 443), timeout=TIMEOUT_SECONDS)
            self._connection = HTTPSConnection(self._outside.address, timeout=TIMEOUT_SECONDS)
            self._connection.sock = self._tls.wrap_socket(plain, server_hostname=self._outside.name)
        return self._connection


def _was_closed(line: ssl.SSLSocket | Any) -> bool:
    """Whether the server has said goodbye: nothing else is said on a line on which nothing was asked."""
    return line is None or bool(select.select([line], [], [], 0)[0])
