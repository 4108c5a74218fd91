"""A broker that becomes unavailable and returns, as a client of the API sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from algosat.brokers.paper.persistence import paper_orders
from algosat.config.settings import Settings
from algosat.domain.reason_codes import EngineCode
from algosat.store.database import Database
from tests.app.builders import algosat_data, write_configuration
from tests.app.events import wait_for
from tests.app.servers import Running, engine, serving

pytestmark = pytest.mark.slow

ORDER = {"symbol": "ALPHA-EQ", "side": "buy", "quantity": "10", "type": "market"}
FAULTS = "faults.json"


@pytest.fixture
def server(directory: Path, settings: Settings) -> Iterator[Running]:
    url = settings.algosat.database.url.get_secret_value()
    write_configuration(
        directory, algosat_data(directory, engine__send_deadline_seconds=3, database__url=url)
    )
    with engine(directory, ALGOSAT_PAPER_FAULTS=str(directory / FAULTS)), serving(directory) as running:
        yield running


def health(server: Running) -> dict[str, Any]:
    status, report = server.ask("GET", "/health")
    assert status in (200, 503)  # 503 until the engine's first heartbeat
    found: dict[str, Any] = report
    return found


def broker_is_available(server: Running) -> bool:
    return bool(health(server)["components"]["broker"])


def test_orders_are_rejected_while_the_broker_is_down_and_filled_after(
    server: Running, directory: Path, settings: Settings
) -> None:
    trader = server.log_in("trader")

    def place(key: str, wait: int) -> tuple[int, bytes]:
        return server.ask_raw(
            "POST", "/orders", ORDER, **trader, **{"Idempotency-Key": key, "Prefer": f"wait={wait}"}
        )

    def order(path: str) -> dict[str, Any]:
        status, shown = server.ask("GET", path, **trader)
        assert status == 200
        found: dict[str, Any] = shown
        return found

    def latest() -> str:
        return f"/orders/{order('/orders?limit=1')['items'][0]['id']}"

    wait_for(lambda: broker_is_available(server))
    assert place("before", 10)[0] == 201
    before = latest()
    wait_for(lambda: order(before)["status"] == "filled")

    (directory / FAULTS).write_text('{"rates": {"down": 1}}')
    wait_for(lambda: not broker_is_available(server))
    assert health(server)["status"] == "degraded"
    began = time.monotonic()
    answer = place("meanwhile", 1)
    assert time.monotonic() - began < 30  # the wait of one second, with room for a busy machine
    assert answer[0] == 201
    meanwhile = latest()
    wait_for(lambda: order(meanwhile)["status"] == "rejected")
    assert order(meanwhile)["code"] == EngineCode.BROKER_UNAVAILABLE
    assert place("meanwhile", 1) == answer

    (directory / FAULTS).unlink()
    wait_for(lambda: broker_is_available(server))
    assert place("after", 10)[0] == 201
    after = latest()
    wait_for(lambda: order(after)["status"] == "filled")

    assert sent_to_the_exchange(settings) == sorted(path.removeprefix("/orders/") for path in (before, after))


def sent_to_the_exchange(settings: Settings) -> list[str]:
    database = Database(settings.algosat.database.url.get_secret_value())
    with database.read() as connection:
        tags = connection.execute(select(paper_orders.c.tag)).scalars().all()
    database.close()
    return sorted(tags)
