"""Client of the trading API, logged in as a user that may trade."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from tests.host.client import Client, Response

# Statuses in which the engine has nothing left to do for an order. An order becomes `not_found` if the broker
# shows no trace of it for engine.unknown_window_seconds.
STABLE = {
    *("open", "trigger_pending", "partially_filled", "filled"),
    *("cancelled", "rejected", "expired", "not_found"),
}


@dataclass(frozen=True)
class Trader:
    """A login session and the requests made with it."""

    client: Client
    token: str

    @classmethod
    def log_in(cls, client: Client, username: str, password: str) -> Trader:
        """Log in and return the session."""
        body = json.dumps({"username": username, "password": password}).encode()
        response = client.request("POST", "/auth/login", body, {"Content-Type": "application/json"})
        assert response.status == 200, response.text
        return cls(client, json.loads(response.text)["access_token"])

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """Send a request with the access token. Header names are given with underscores for hyphens."""
        all_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        all_headers["Authorization"] = f"Bearer {self.token}"
        content = None
        if body is not None:
            content, all_headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        return self.client.request(method, path, content, all_headers)

    def get_json(self, path: str) -> Any:
        """Return the body of a GET request. Raises AssertionError if it fails."""
        response = self.request("GET", path)
        assert response.status == 200, response.text
        return json.loads(response.text)

    def buy(self, symbol: str, quantity: int, key: str = "") -> Response:
        """Place a market order, under a new idempotency key unless one is given."""
        order = {"symbol": symbol, "side": "buy", "quantity": str(quantity), "type": "market"}
        return self.request(
            "POST", "/orders", order, Idempotency_Key=key or str(uuid.uuid4()), Prefer="wait=2"
        )

    def buy_until_answered(self, symbol: str, quantity: int, seconds: float = 120) -> Response:
        """Repeat an order under one idempotency key until a response below 500 arrives."""
        key, deadline = str(uuid.uuid4()), time.monotonic() + seconds
        while True:
            try:
                response = self.buy(symbol, quantity, key)
            except OSError:
                response = None
            if response is not None and response.status < 500:
                return response
            assert time.monotonic() < deadline, f"no response for {key}: {response}"
            time.sleep(0.3)

    def wait_for_order(self, order_id: str, seconds: float = 180) -> Any:
        """Return the order once its status is stable."""
        deadline = time.monotonic() + seconds
        while (order := self.get_json(f"/orders/{order_id}"))["status"] not in STABLE:
            assert time.monotonic() < deadline, order
            time.sleep(0.2)
        return order

    def instrument(self) -> dict[str, Any]:
        """Return the first instrument of the market."""
        found: dict[str, Any] = self.get_json("/instruments")["items"][0]
        return found

    def wait_for_price(self, symbol: str, seconds: float = 120) -> None:
        """Wait for a newer price of the symbol."""
        deadline, before = time.monotonic() + seconds, self.get_json(f"/quotes/{symbol}")["at"]
        while (now := self.get_json(f"/quotes/{symbol}"))["at"] == before:
            assert time.monotonic() < deadline, now
            time.sleep(0.2)

    def wait_for_broker(self, seconds: float = 120) -> None:
        """Wait until the engine leads and its broker takes orders."""
        deadline = time.monotonic() + seconds
        while True:
            health = json.loads(self.request("GET", "/health").text)
            if health["components"]["engine"] and health["components"]["broker"]:
                return
            assert time.monotonic() < deadline, health
            time.sleep(0.2)
