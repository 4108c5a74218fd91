"""A trial order over the API: log in, place an order, wait for its fill, read the position."""

import ssl
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

from tools.say import Trouble, note

PATIENCE_SECONDS = 30
FINAL = {"filled", "cancelled", "rejected", "expired", "denied", "not_found"}


def trade(url: str, ca_file: Path | None, username: str, password: str) -> None:
    """Buy one lot of the first instrument and print the order and the position."""
    verify = ssl.create_default_context(cafile=str(ca_file)) if ca_file else True
    with httpx.Client(base_url=url, verify=verify, timeout=30) as client:
        client.headers["Authorization"] = f"Bearer {_login(client, username, password)}"
        order = _filled(client, _place(client, _instrument(client)))
        note(f"    order {order['id']} is {order['status']}: {_values(order, 'side', 'quantity', 'symbol')}")
        for position in _answer(client.get("/positions"))["items"]:
            if position["symbol"] == order["symbol"]:
                note(f"    position: {_values(position, *position)}")


def _login(client: httpx.Client, username: str, password: str) -> str:
    answer = _answer(client.post("/auth/login", json={"username": username, "password": password}))
    return str(answer["access_token"])


def _instrument(client: httpx.Client) -> dict[str, Any]:
    instruments = _answer(client.get("/instruments"))["items"]
    if not instruments:
        raise Trouble("the market lists no instrument")
    return dict(instruments[0])


def _place(client: httpx.Client, instrument: dict[str, Any]) -> dict[str, Any]:
    order = {
        "symbol": instrument["symbol"],
        "side": "buy",
        "quantity": str(instrument["lot"]),
        "type": "market",
        "validity": "day",
    }
    headers = {"Idempotency-Key": str(uuid.uuid4()), "Prefer": "wait=5"}
    return _answer(client.post("/orders", json=order, headers=headers))


def _filled(client: httpx.Client, order: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while order["status"] not in FINAL and time.monotonic() < deadline:
        time.sleep(0.2)
        order = _answer(client.get(f"/orders/{order['id']}"))
    if order["status"] != "filled":
        raise Trouble(
            f"the trial order {order['id']} is {order['status']} after {PATIENCE_SECONDS} s, not filled",
            "see its events: GET /orders/ID/events, and `journalctl -u algosat-engine` on the server",
        )
    return order


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        request = response.request
        raise Trouble(f"{request.method} {request.url.path} answered {response.status_code}: {response.text}")
    answer: dict[str, Any] = response.json()
    return answer


def _values(row: dict[str, Any], *keys: str) -> str:
    return ", ".join(f"{key} {row[key]}" for key in keys if row.get(key) is not None)
