from __future__ import annotations

import threading

import pytest

from algosat.engine.workers import DaemonWorkers, ThreadPoolWorkers
from algosat.trading.desk import Desk
from tests.app.resilience.test_timed_calls import no_more_threads


def test_order_is_sent_by_a_busy_thread_if_the_process_may_have_no_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = ThreadPoolWorkers("order-sender", 2, desk.errors)
    may_end, sent = threading.Event(), threading.Event()

    def be_busy() -> None:
        may_end.wait(10)

    workers.run(be_busy)
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", no_more_threads)
        workers.run(sent.set)
    may_end.set()
    assert sent.wait(10)
    workers.close()
    assert workers.free() == 2


def test_pool_that_is_closed_takes_no_task(desk: Desk) -> None:
    workers = ThreadPoolWorkers("order-sender", 2, desk.errors)
    workers.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        workers.run(lambda: None)
    assert workers.free() == 2


def test_request_that_gets_no_thread_takes_no_place(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = DaemonWorkers("broker-requests", 1, desk.errors)
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(RuntimeError, match="new thread"):
            workers.run(lambda: None)
    assert workers.free() == 1
