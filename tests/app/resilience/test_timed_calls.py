from __future__ import annotations

import threading

import pytest

from algosat.resilience.timed_calls import NoThreadFree, TimedCalls


def no_more_threads(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_place_is_given_back_if_the_process_may_have_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = TimedCalls("book", threads=1)
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(NoThreadFree):
            calls.call(lambda: "answer", within=5)
    assert calls.call(lambda: "answer", within=5) == "answer"
