"""Clients who place orders and do not give up: each has its key, and is repeated until it is answered."""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Self

from tests.host.outside import Answer
from tests.host.trader import Trader

CLIENTS = 2
# Slower than the gate's limit of orders in a second.
PAUSE_SECONDS = 0.3
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Asked:
    """An order and the key it goes under; the same key is the same order however often it is sent."""

    side: str
    quantity: int
    key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def send(self, trader: Trader, symbol: str) -> Answer:
        order = {"symbol": symbol, "side": self.side, "quantity": str(self.quantity)}
        order |= {"type": "market", "product": "intraday"}
        return trader.ask("POST", "/orders", order, Idempotency_Key=self.key, Prefer="wait=2")


@dataclass
class Burst:
    """Orders as long as the `with` block lasts, and on until each of them is answered."""

    trader: Trader
    symbol: str
    told: dict[str, str] = field(default_factory=dict)  # key to the id of the order that was acknowledged
    asked: list[Asked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._clients = [threading.Thread(target=self._trade, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for client in self._clients:
            client.join()

    def wait_for(self, orders: int, seconds: float = 300) -> None:
        """Return in the middle of the burst, with that many orders acknowledged."""
        deadline = time.monotonic() + seconds
        while len(self.told) < orders:
            assert time.monotonic() < deadline, f"{len(self.told)} orders, {self.refused[:3]}"
            time.sleep(0.01)

    def _trade(self, client: int) -> None:
        step = 0
        while not self._over.is_set():
            # Each quantity once: equal orders shortly after another are suspected to be doubles.
            step += 1
            order = Asked("buy" if step % 2 else "sell", 1 + client + CLIENTS * (step % 60))
            self.asked.append(order)
            self._insist(order)
            self._over.wait(PAUSE_SECONDS)

    def _insist(self, order: Asked) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = order.send(self.trader, self.symbol)
            except (OSError, HTTPException):
                answer = None
            if answer is not None and answer.status < 500:
                if answer.status == 201:
                    self.told[order.key] = json.loads(answer.text)["id"]
                else:
                    self.refused.append(f"{answer.status} {answer.text[:300]}")
                return
            time.sleep(0.3)
        self.refused.append(f"nobody answered for {order}")
