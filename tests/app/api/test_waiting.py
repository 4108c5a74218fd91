"""Waiting for an acknowledgement inside one worker."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from algosat.api.waiting import Waiting
from algosat.domain.orders import Order
from algosat.resilience.bulkhead import Bulkhead
from algosat.trading import place
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, terms_of
from tests.app.events import PATIENCE


def test_last_request_thread_of_a_worker_never_waits(desk: Desk, tmp_path: Path) -> None:
    order = place.place_order(desk, terms_of("10"), CAUSE).order
    waiting = Waiting(desk.database, tmp_path, Bulkhead(2), threads=2)
    looks, is_settled = threading.Semaphore(0), threading.Event()

    def settled(_: Order) -> bool:
        looks.release()
        return is_settled.is_set()

    with ThreadPoolExecutor(1) as others:
        first = others.submit(waiting.until, order, settled, PATIENCE)
        assert looks.acquire(timeout=PATIENCE)
        assert looks.acquire(timeout=PATIENCE)  # the waiting request polls
        assert waiting.until(order, lambda _: False, PATIENCE) == order
        assert not first.done()
        is_settled.set()
        assert first.result(PATIENCE) == order
    waiting.close()
