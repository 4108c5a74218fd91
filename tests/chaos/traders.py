"""Clients that never give up: every request has its key, and is repeated until it is answered."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

SYMBOLS: Final = ("ALPHA-EQ", "BRAVO-EQ", "CEDAR-EQ", "EMBER-EQ", "GRANITE-EQ")
UNANSWERED: Final = frozenset({502, 503, 504})


@dataclass
class Acknowledged:
    """What clients were told, to be held against what is true in the end."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    orders: dict[str, str] = field(default_factory=dict)  # id to the key it was placed under
    denied: set[str] = field(default_factory=set)
    contradictions: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    repeated: int = 0

    @property
    def passed(self) -> int:
        """How many of the orders passed the gate, and so go the whole way."""
        return len(self.orders) - len(self.denied)

    def note(self, key: str, order_id: str, *, denied: bool) -> None:
        with self.lock:
            for other, under in self.orders.items():
                if under == key and other != order_id:
                    self.contradictions.append(f"key {key} gave {other} and {order_id}")
            self.orders[order_id] = key
            if denied:
                self.denied.add(order_id)


class Trader(threading.Thread):
    def __init__(
        self, number: int, seed: int, url: str, token: str, told: Acknowledged, stopping: threading.Event
    ) -> None:
        super().__init__(name=f"trader-{number}", daemon=True)
        self._chance = random.Random(f"{seed}/{number}")
        self._url, self._told, self._stopping = url, told, stopping
        self._headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=url, timeout=20, headers=self._headers)
        self._mine: list[str] = []
        self._answers: list[tuple[str, dict[str, Any], httpx.Response]] = []

    def run(self) -> None:
        while not self._stopping.is_set():
            action = self._chance.choices(
                [self._place, self._cancel, self._change, self._close, self._repeat],
                weights=[60, 25, 10, 5, 5],
            )[0]
            action()
            self._stopping.wait(self._chance.uniform(0, 0.05))
        self._client.close()

    def _place(self) -> None:
        key = uuid.UUID(int=self._chance.getrandbits(128)).hex
        body = self._order()
        answer = self._insist(lambda: self._client.post("/orders", json=body, headers=self._key(key)))
        self._learn(key, answer)
        self._answers = [*self._answers[-20:], (key, body, answer)]
        if self._chance.random() < 0.05:
            self._repeat()

    def _repeat(self) -> None:
        """Ask again under a key of before, however much has happened to its order since."""
        if not self._answers:
            return
        key, body, first = self._chance.choice([self._answers[0], self._answers[-1]])
        again = self._insist(lambda: self._client.post("/orders", json=body, headers=self._key(key)))
        self._learn(key, again)
        with self._told.lock:
            self._told.repeated += 1
            if first.status_code == 201 and (again.status_code, again.content) != (201, first.content):
                self._told.contradictions.append(f"key {key}: first {first.text}, then {again.text}")

    def _order(self) -> dict[str, Any]:
        symbol = self._chance.choice(SYMBOLS)
        body: dict[str, Any] = {
            "symbol": symbol,
            "side": self._chance.choice(["buy", "sell"]),
            "quantity": str(self._chance.randint(1, 60)),
            "product": "intraday",
            "type": "market",
        }
        if self._chance.random() < 0.5:
            quote = self._insist(lambda: self._client.get(f"/quotes/{symbol}"))
            if quote.status_code == 200:
                last = float(quote.json()["last"])
                tick = 0.05 if last >= 250 else 0.01
                price = round(last * self._chance.uniform(0.99, 1.01) / tick) * tick
                body |= {"type": "limit", "limit_price": f"{price:.2f}"}
        return body

    def _learn(self, key: str, answer: httpx.Response) -> None:
        if answer.status_code == 201:
            order_id = answer.json()["id"]
            self._told.note(key, order_id, denied=False)
            self._mine = [*self._mine[-20:], order_id]
        elif answer.status_code == 422 and "Location" in answer.headers:
            self._told.note(key, answer.headers["Location"].rsplit("/", 1)[-1], denied=True)
        else:
            self._surprised(answer)

    def _cancel(self) -> None:
        if self._mine:
            order_id = self._chance.choice(self._mine)
            answer = self._insist(lambda: self._client.delete(f"/orders/{order_id}"))
            if answer.status_code not in (200, 202, 404, 409):
                self._surprised(answer)

    def _change(self) -> None:
        if self._mine:
            order_id = self._chance.choice(self._mine)
            body = {"quantity": str(self._chance.randint(1, 80))}
            answer = self._insist(lambda: self._client.patch(f"/orders/{order_id}", json=body))
            if answer.status_code not in (200, 202, 404, 409, 422):
                self._surprised(answer)

    def _close(self) -> None:
        key = uuid.UUID(int=self._chance.getrandbits(128)).hex
        symbol = self._chance.choice(SYMBOLS)
        answer = self._insist(
            lambda: self._client.post(f"/positions/{symbol}/close", json={}, headers=self._key(key))
        )
        if answer.status_code not in (200, 201, 202, 409, 422):
            self._surprised(answer)

    def _insist(self, call: Callable[[], httpx.Response]) -> httpx.Response:
        """Repeat a request until something answers it: a dead worker's silence is no answer."""
        while True:
            try:
                answer = call()
            except httpx.TransportError:
                self._stopping.wait(0.05)
                continue
            if answer.status_code not in UNANSWERED:
                return answer
            self._stopping.wait(0.05)

    def _key(self, key: str) -> dict[str, str]:
        return {"Idempotency-Key": key, "Prefer": "wait=0.2"}

    def _surprised(self, answer: httpx.Response) -> None:
        with self._told.lock:
            self._told.unexpected.append(f"{answer.request.method} {answer.url.path}: {answer.text[:300]}")
