"""A client of the API who trades, over HTTPS and from outside."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from tests.host.outside import Answer, Outside

# An order rests in one of these, once the engine has had its say; in `not_found` when it has sought evidence
# in vain for engine.unknown_window_seconds.
SETTLED = {
    *("open", "trigger_pending", "partially_filled", "filled"),
    *("cancelled", "rejected", "expired", "not_found"),
}


@dataclass(frozen=True)
class Trader:
    """Somebody who is logged in."""

    outside: Outside
    token: str

    @classmethod
    def logged_in(cls, outside: Outside, username: str, password: str) -> Trader:
        body = json.dumps({"username": username, "password": password}).encode()
        answer = outside.ask("POST", "/auth/login", body, {"Content-Type": "application/json"})
        assert answer.status == 200, answer.text
        return cls(outside, json.loads(answer.text)["access_token"])

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """A request in his name; header names have underscores for their hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["Authorization"] = f"Bearer {self.token}"
        content = None
        if body is not None:
            content, named["Content-Type"] = json.dumps(body).encode(), "application/json"
        return self.outside.ask(method, path, content, named)

    def read(self, path: str) -> Any:
        """The body of a GET that must succeed."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.text
        return json.loads(answer.text)

    def buy(self, symbol: str, quantity: int, key: str = "") -> Answer:
        """A market order; without a key it gets one of its own."""
        order = {"symbol": symbol, "side": "buy", "quantity": str(quantity), "type": "market"}
        return self.ask("POST", "/orders", order, Idempotency_Key=key or str(uuid.uuid4()), Prefer="wait=2")

    def buy_until_answered(self, symbol: str, quantity: int, seconds: float = 60) -> Answer:
        """The same order under the same key until somebody answers for it, as a careful client does."""
        key, deadline = str(uuid.uuid4()), time.monotonic() + seconds
        while True:
            try:
                answer = self.buy(symbol, quantity, key)
            except OSError:
                answer = None
            if answer is not None and answer.status < 500:
                return answer
            assert time.monotonic() < deadline, f"nobody answered for {key}: {answer}"
            time.sleep(0.3)

    def settled(self, order_id: str, seconds: float = 180) -> Any:
        """The order, once it has come to rest."""
        deadline = time.monotonic() + seconds
        while (order := self.read(f"/orders/{order_id}"))["status"] not in SETTLED:
            assert time.monotonic() < deadline, order
            time.sleep(0.2)
        return order

    def instrument(self) -> dict[str, Any]:
        """The first instrument of the market."""
        found: dict[str, Any] = self.read("/instruments")["items"][0]
        return found

    def next_price(self, symbol: str, seconds: float = 60) -> None:
        """Wait for a price of the symbol that is newer than the one there is."""
        deadline, before = time.monotonic() + seconds, self.read(f"/quotes/{symbol}")["at"]
        while (now := self.read(f"/quotes/{symbol}"))["at"] == before:
            assert time.monotonic() < deadline, now
            time.sleep(0.2)
