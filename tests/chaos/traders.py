"""Clients that place orders with idempotency keys and repeat every request until it is answered."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from algosat.domain.orders import UNCERTAIN, Status

SYMBOLS: Final = ("ALPHA-EQ", "BRAVO-EQ", "CEDAR-EQ", "EMBER-EQ", "GRANITE-EQ")
UNANSWERED: Final = frozenset({502, 503, 504})


@dataclass
class Acknowledged:
    """The answers that clients received, for comparison with the store at the end."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    orders: dict[str, str] = field(default_factory=dict)  # idempotency key by order id
    denied: set[str] = field(default_factory=set)
    contradictions: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    repeated: int = 0

    @property
    def passed(self) -> int:
        """The number of orders that passed the gate."""
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
    """Places, cancels and changes orders at random, and repeats requests with their keys."""

    def __init__(
        self,
        number: int,
        seed: int,
        url: str,
        token: str,
        acknowledged: Acknowledged,
        stopping: threading.Event,
        account: str,
    ) -> None:
        super().__init__(name=f"trader-{number}", daemon=True)
        self._chance = random.Random(f"{seed}/{number}")
        self._url, self._acknowledged, self._stopping = url, acknowledged, stopping
        self._account = {"account": account}
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
        answer = self._until_answered(lambda: self._client.post("/orders", json=body, headers=self._key(key)))
        self._record(key, answer)
        self._answers = [*self._answers[-20:], (key, body, answer)]
        if self._chance.random() < 0.05:
            self._repeat()

    def _repeat(self) -> None:
        """Repeat an earlier request with its key: the answer is the first one, unless it was uncertain."""
        if not self._answers:
            return
        key, body, first = self._chance.choice([self._answers[0], self._answers[-1]])
        again = self._until_answered(lambda: self._client.post("/orders", json=body, headers=self._key(key)))
        self._record(key, again)
        with self._acknowledged.lock:
            self._acknowledged.repeated += 1
            if first.status_code == 201 and not _is_same_answer(first, again):
                self._acknowledged.contradictions.append(f"key {key}: first {first.text}, then {again.text}")

    def _order(self) -> dict[str, Any]:
        symbol = self._chance.choice(SYMBOLS)
        body: dict[str, Any] = {
            **self._account,
            "symbol": symbol,
            "side": self._chance.choice(["buy", "sell"]),
            "quantity": str(self._chance.randint(1, 60)),
            "product": "intraday",
            "type": "market",
        }
        if self._chance.random() < 0.5:
            quote = self._until_answered(lambda: self._client.get(f"/quotes/{symbol}", params=self._account))
            if quote.status_code == 200:
                last = float(quote.json()["last"])
                tick = 0.05 if last >= 250 else 0.01
                price = round(last * self._chance.uniform(0.99, 1.01) / tick) * tick
                body |= {"type": "limit", "limit_price": f"{price:.2f}"}
        return body

    def _record(self, key: str, answer: httpx.Response) -> None:
        if answer.status_code == 201:
            order_id = answer.json()["id"]
            self._acknowledged.note(key, order_id, denied=False)
            self._mine = [*self._mine[-20:], order_id]
        elif answer.status_code == 422 and "Location" in answer.headers:
            self._acknowledged.note(key, answer.headers["Location"].rsplit("/", 1)[-1], denied=True)
        else:
            self._record_unexpected(answer)

    def _cancel(self) -> None:
        if self._mine:
            order_id = self._chance.choice(self._mine)
            answer = self._until_answered(lambda: self._client.delete(f"/orders/{order_id}"))
            if answer.status_code not in (200, 202, 404, 409):
                self._record_unexpected(answer)

    def _change(self) -> None:
        if self._mine:
            order_id = self._chance.choice(self._mine)
            body = {"quantity": str(self._chance.randint(1, 80))}
            answer = self._until_answered(lambda: self._client.patch(f"/orders/{order_id}", json=body))
            if answer.status_code not in (200, 202, 404, 409, 422):
                self._record_unexpected(answer)

    def _close(self) -> None:
        key = uuid.UUID(int=self._chance.getrandbits(128)).hex
        symbol = self._chance.choice(SYMBOLS)
        answer = self._until_answered(
            lambda: self._client.post(
                f"/positions/{symbol}/close", json=self._account, headers=self._key(key)
            )
        )
        if answer.status_code not in (200, 201, 202, 409, 422):
            self._record_unexpected(answer)

    def _until_answered(self, call: Callable[[], httpx.Response]) -> httpx.Response:
        """Repeat a request until it is answered: a connection lost with its worker is no answer."""
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

    def _record_unexpected(self, answer: httpx.Response) -> None:
        with self._acknowledged.lock:
            self._acknowledged.unexpected.append(
                f"{answer.request.method} {answer.url.path}: {answer.text[:300]}"
            )


def _is_same_answer(first: httpx.Response, again: httpx.Response) -> bool:
    """Return whether two answers are equal, or the second states the outcome that the first did not know."""
    if again.status_code != 201 or again.content == first.content:
        return again.content == first.content
    before, after = first.json(), again.json()
    was_uncertain = Status(before["status"]) in UNCERTAIN
    return was_uncertain and (after["id"], after["version"] > before["version"]) == (before["id"], True)
