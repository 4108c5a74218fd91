"""Processes killed during a burst of orders: no acknowledged order is lost or duplicated."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from testinfra.host import Host

from tests.host.client import Response
from tests.host.trader import Trader

pytestmark = [pytest.mark.unit("algosat", "algosat-engine"), pytest.mark.disposable]

ORDERS = 40
CLIENTS = 4
# Slower than the limit of orders per second.
PAUSE_SECONDS = 0.6


def kill_engine(host: Host) -> None:
    host.check_output("systemctl kill --signal=KILL algosat-engine.service")


def kill_worker(host: Host) -> None:
    master = host.check_output("systemctl show --property=MainPID --value algosat.service")
    host.check_output(
        "kill -KILL $(head --lines=1 /proc/%s/task/%s/children | cut -d' ' -f1)", master, master
    )


@pytest.mark.parametrize("kill", [kill_engine, kill_worker])
def test_no_acknowledged_order_is_lost_or_duplicated(
    host: Host, trader: Trader, kill: Callable[[Host], None]
) -> None:
    symbol = trader.instrument()["symbol"]
    with ThreadPoolExecutor(CLIENTS) as clients:
        # Each quantity is used once: the gate denies equal orders in quick succession.
        responses: list[Response] = []
        bursts = [clients.submit(_burst, trader, symbol, first, responses) for first in range(1, CLIENTS + 1)]
        for answered in (ORDERS // 8, ORDERS // 4, ORDERS // 2):
            while len(responses) < answered and not all(burst.done() for burst in bursts):
                time.sleep(0.05)
            kill(host)
        for burst in bursts:
            burst.result()
    acknowledged = [json.loads(response.text) for response in responses if response.status == 201]
    assert len(acknowledged) >= ORDERS // 2, Counter(response.status for response in responses)
    assert len({order["id"] for order in acknowledged}) == len(acknowledged)
    for order in acknowledged:
        final = trader.wait_for_order(order["id"])
        traded = [
            it for it in trader.get_json("/trades?limit=1000")["items"] if it["order_id"] == order["id"]
        ]
        assert sum(int(it["quantity"]) for it in traded) == int(final["filled_quantity"])
        assert int(final["filled_quantity"]) <= int(final["quantity"])
    assert host.run("algosat store verify").rc == 0


def _burst(trader: Trader, symbol: str, first: int, responses: list[Response]) -> None:
    for quantity in range(first, ORDERS + 1, CLIENTS):
        responses.append(_buy_when_not_held_back(trader, symbol, quantity))
        time.sleep(PAUSE_SECONDS)


def _buy_when_not_held_back(trader: Trader, symbol: str, quantity: int, seconds: float = 240) -> Response:
    """Place an order again, as a new one, while an unknown order of the symbol holds entries back."""
    deadline = time.monotonic() + seconds
    while '"held_back"' in (response := trader.buy_until_answered(symbol, quantity)).text:
        assert time.monotonic() < deadline, response.text
        time.sleep(PAUSE_SECONDS)
    return response
