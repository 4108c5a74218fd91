"""Concurrent clients over HTTP, at a server of two processes that share only the store."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from algosat.clock import now
from algosat.config.loader import load
from algosat.domain.risk import DenialCode
from tests.app.builders import algosat_data, write_configuration
from tests.app.desks import open_desk
from tests.app.fakes import FakeClock
from tests.app.servers import Running, serving

pytestmark = pytest.mark.slow

ORDER = {
    "symbol": "ALPHA-EQ", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "100",
    "product": "delivery",
}  # fmt: skip


@pytest.fixture
def server(tmp_path: Path, fresh_store: Path) -> Iterator[Running]:
    """A server with instruments and prices but no engine: orders stay `created`."""
    several = {"api__workers": 2, "api__threads": 8}
    storage = f"redis+unix://{tmp_path}/no-redis.sock"  # does not exist: each process counts on its own
    limits = {"security__rate_limit_storage": storage, "risk__stale_quote_seconds": 3600}
    write_configuration(tmp_path, algosat_data(tmp_path, **several, **limits))
    shutil.copy(fresh_store, tmp_path / "data" / "algosat.db")
    with open_desk(load(tmp_path), FakeClock(now())), serving(tmp_path) as running:
        yield running


def at_once(clients: int, server: Running, **headers: str) -> list[tuple[int, bytes]]:
    """Return the responses to the same order, sent by each client over its own connection."""
    trader = server.log_in("trader")

    def place(number: int) -> tuple[int, bytes]:
        own = {name: value.format(number) for name, value in headers.items()}
        return server.ask_raw("POST", "/orders", ORDER, **trader, **own)

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(place, range(clients)))


def placed(server: Running) -> list[dict[str, Any]]:
    answer = server.ask("GET", "/orders?limit=1000", **server.log_in("viewer"))[1]
    orders: list[dict[str, Any]] = answer["items"]
    return orders


def test_one_of_fifty_concurrent_orders_takes_the_rest_of_a_limit(server: Running) -> None:
    admin = server.log_in("admin")
    status, _ = server.ask("PUT", "/risk/limits", {"limits": {"max_position_value": "1000"}}, **admin)
    assert status == 200
    answers = at_once(50, server, **{"Idempotency-Key": "one-of-many-{}", "Prefer": "wait=0"})
    assert Counter(status for status, _ in answers) == {201: 1, 422: 49}
    assert Counter(order["code"] for order in placed(server)) == {None: 1, DenialCode.POSITION_VALUE: 49}


def test_twenty_concurrent_requests_with_one_key_get_the_same_bytes(server: Running) -> None:
    answers = at_once(20, server, **{"Idempotency-Key": "the-only-one", "Prefer": "wait=0.5"})
    assert len(set(answers)) == 1
    assert answers[0][0] == 201
    assert len(placed(server)) == 1
