"""One turn: run by the Python of a checkout, with the settings that the checkout's own tests use.

python turn.py DIRECTORY URL PORT
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from algosat.domain.orders import EventKind
from tests.app.builders import algosat_data, write_configuration

_PASSWORD: Final = "a password for rollbacks only"
_BEHIND: Final = 3
_SECONDS: Final = 60.0
_IS_EARLIER: Final = not hasattr(EventKind, "ACKNOWLEDGED")  # has one account, and no GTC orders
_COINS: Final = "coins"


def main() -> None:
    """Upgrade the store if needed, trade on it, and verify it."""
    directory, url, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    data = algosat_data(directory)
    data["database"]["url"] = url
    data["api"]["port"] = port
    if not _IS_EARLIER:
        _add_coins(directory, data)
    write_configuration(directory, data)
    versions = _prepare(directory)
    with _running(directory, "engine", "run"), _running(directory, "serve"):
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        _trade(client)
        _read(client, directory / "closes")
        if not _IS_EARLIER:
            _trade_coins(client, directory / "closes")
            _convert(client)
        _adjust(directory)
    if not _IS_EARLIER:
        _replace_an_inferred_fill(directory)
    print(f"{versions.strip()}: {_verified(directory)}")


def _verified(directory: Path) -> str:
    """Verify the store. The earlier release expects the order counts of currency pairs on other days."""
    command = _command(directory, "store", "verify")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    *findings, result = done.stdout.strip().splitlines() or [""]
    unexpected = [each for each in findings if not (_IS_EARLIER and each.startswith(f"days of {_COINS}/"))]
    if unexpected or not result:
        raise SystemExit(f"algosat store verify: {done.stdout}{done.stderr}")
    return result


def _add_coins(directory: Path, data: dict[str, Any]) -> None:
    """Add an account of currency pairs, and let the brokers of both only acknowledge orders."""
    from tests.app.builders import account_data

    own = {"currency": "USDT", "charges__brokerage": "none", "paper__listings": "coins"}
    data["accounts"].append(account_data(name=_COINS, **own))
    faults = directory / "faults.json"
    faults.write_text('{"rates": {"acknowledged": 1}}')
    os.environ["ALGOSAT_PAPER_FAULTS"] = str(faults)


def _prepare(directory: Path) -> str:
    found = subprocess.run(_command(directory, "db", "current"), capture_output=True, text=True, check=False)
    if found.returncode == _BEHIND:
        _algosat(directory, "db", "upgrade")
    elif found.returncode != 0:
        raise SystemExit(f"this release refuses the store: {found.stdout}{found.stderr}")
    if "trader" not in _algosat(directory, "user", "list"):
        _algosat(directory, "user", "add", "trader", "--role", "trader", "--password-stdin", stdin=_PASSWORD)
    return found.stdout


def _trade(client: httpx.Client) -> None:
    """Find what the turn before has left, cancel and close it, and leave the same to the next turn."""
    _wait_until_healthy(client)
    answer = client.post("/auth/login", json={"username": "trader", "password": _PASSWORD})
    client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
    working = client.get("/orders", params={"status": "open"}).raise_for_status().json()["items"]
    held = client.get("/positions").raise_for_status().json()["items"]
    if client.get("/trades").raise_for_status().json()["items"]:  # not the first turn
        assert len(working) == 1, working
        quantities = [it["quantity"] for it in held if it["symbol"] == "ALPHA-EQ"]
        assert [each for each in quantities if each != "0"] == ["10"], held
        client.delete(f"/orders/{working[0]['id']}").raise_for_status()
        _place(client, "sell", "10", "filled")
    _place(client, "buy", "10", "filled")
    last = client.get("/quotes/ALPHA-EQ").raise_for_status().json()["last"]
    resting = str(round(float(last) * 0.97, 1))
    more = {} if _IS_EARLIER else {"validity": "gtc"}
    _place(client, "buy", "5", "open", type="limit", limit_price=resting, **more)


def _read(client: httpx.Client, closes: Path) -> None:
    """Read what the turns before have left: each order with its events, and the closes named in a file."""
    for order in client.get("/orders", params={"limit": 1000}).raise_for_status().json()["items"]:
        client.get(f"/orders/{order['id']}/events").raise_for_status()
    for close_id in closes.read_text().split() if closes.exists() else ():
        client.get(f"/closes/{close_id}").raise_for_status()


def _convert(client: httpx.Client) -> None:
    """Convert a position to another product; the books and those of the paper market then agree."""
    _place(client, "buy", "4", "filled", symbol="BRAVO-EQ", product="intraday")
    body = {"product": "intraday", "to_product": "delivery", "quantity": "3"}
    headers = {**_key(), "Prefer": "wait=30"}
    asked = client.post("/positions/BRAVO-EQ/convert", json=body, headers=headers).raise_for_status()
    assert asked.json()["state"] == "converted", asked.json()


def _trade_coins(client: httpx.Client, closes: Path) -> None:
    """Buy a currency pair, sell it up to a rest that is too small for an order, and note the close."""
    _place(client, "buy", "500", "filled", symbol="DOGE-USDT", account=_COINS)
    _place(client, "sell", "499", "filled", symbol="DOGE-USDT", account=_COINS)
    asked = client.post("/positions/close-all", json={"account": _COINS}, headers=_key())
    close = asked.raise_for_status().json()
    with closes.open("a") as noted:
        noted.write(f"{close['id']}\n")
    until = time.monotonic() + _SECONDS
    while close["state"] != "finished":
        assert time.monotonic() < until, close
        time.sleep(0.2)
        close = client.get(f"/closes/{close['id']}").raise_for_status().json()
    assert [line["state"] for line in close["lines"]] == ["dust"], close


def _replace_an_inferred_fill(directory: Path) -> None:
    """Book an order of which the broker states the trades only after its fill was inferred."""
    from tests.rollback.inferred import book

    book(directory)


def _adjust(directory: Path) -> None:
    """Adjust a position and the cash, if this release can: the earlier one must replay that, too."""
    if "  book " not in _algosat(directory, "--help"):
        return
    position = ("--symbol", "BRAVO-EQ", "--product", "delivery", "--quantity", "5", "--price", "90.5")
    more = ("--strategy", "external", "--cash", "-12.34", "--reason", "a turn of the rollback")
    _algosat(directory, "book", "adjust", *position, *more)


def _place(client: httpx.Client, side: str, quantity: str, expected: str, **more: Any) -> None:
    body = {"symbol": "ALPHA-EQ", "side": side, "quantity": quantity, "type": "market", **more}
    order = client.post("/orders", json=body, headers=_key()).raise_for_status().json()
    until = time.monotonic() + _SECONDS
    while order["status"] != expected:
        assert time.monotonic() < until, order
        time.sleep(0.2)
        order = client.get(f"/orders/{order['id']}").raise_for_status().json()


def _key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex, "Prefer": "wait=10"}


def _wait_until_healthy(client: httpx.Client) -> None:
    until = time.monotonic() + _SECONDS
    while True:
        try:
            found = client.get("/health").json()["components"]
        except httpx.TransportError:
            found = {}
        if all(found.get(name) for name in ("database", "engine", "broker", "prices")):
            return
        assert time.monotonic() < until, found
        time.sleep(0.2)


@contextmanager
def _running(directory: Path, *command: str) -> Iterator[None]:
    with (directory / f"{command[0]}.log").open("ab") as log:
        process = subprocess.Popen(_command(directory, *command), stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _algosat(directory: Path, *command: str, stdin: str = "") -> str:
    done = subprocess.run(
        _command(directory, *command), input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"algosat {' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def _command(directory: Path, *command: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "algosat", "--config-dir", str(directory), *command)


if __name__ == "__main__":
    main()
