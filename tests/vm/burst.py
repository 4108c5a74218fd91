"""Burst of orders, each repeated under its idempotency key until it gets a response."""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Self

from tests.host.client import Response
from tests.host.trader import Trader

CLIENTS = 2
# Slower than the limit of orders per second.
PAUSE_SECONDS = 0.3
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class OrderRequest:
    """An order with its idempotency key."""

    side: str
    quantity: int
    key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def send(self, trader: Trader, symbol: str) -> Response:
        order = {"symbol": symbol, "side": self.side, "quantity": str(self.quantity)}
        order |= {"type": "market", "product": "intraday"}
        return trader.request("POST", "/orders", order, Idempotency_Key=self.key, Prefer="wait=2")


@dataclass
class Burst:
    """Context manager that places orders until it exits, and then until each one has a response."""

    trader: Trader
    symbol: str
    acknowledged: dict[str, str] = field(default_factory=dict)  # order ids by idempotency key
    requests: list[OrderRequest] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._trade, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()

    def wait_for(self, orders: int, seconds: float = 300) -> None:
        """Wait until that many orders are acknowledged."""
        deadline = time.monotonic() + seconds
        while len(self.acknowledged) < orders:
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} orders, {self.rejected[:3]}"
            time.sleep(0.01)

    def _trade(self, client: int) -> None:
        step = 0
        while not self._stop.is_set():
            # The gate denies equal orders in quick succession, so each order has another quantity.
            step += 1
            order = OrderRequest("buy" if step % 2 else "sell", 1 + client + CLIENTS * (step % 60))
            self.requests.append(order)
            self._place(order)
            self._stop.wait(PAUSE_SECONDS)

    def _place(self, order: OrderRequest) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                response = order.send(self.trader, self.symbol)
            except (OSError, HTTPException):
                response = None
            if response is not None and response.status < 500:
                if response.status == 201:
                    self.acknowledged[order.key] = json.loads(response.text)["id"]
                else:
                    self.rejected.append(f"{response.status} {response.text[:300]}")
                return
            time.sleep(0.3)
        self.rejected.append(f"no response for {order}")
