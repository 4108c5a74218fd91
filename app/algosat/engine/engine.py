"""The engine at work: its threads, from taking the lead to giving it back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from algosat.config.live import LiveSettings
from algosat.engine.assembly import Parts
from algosat.engine.heartbeat import Heartbeat
from algosat.engine.quotes import FLUSH_EVERY, list_instruments
from algosat.errors import AlgosatError
from algosat.store.leader_lock import NotLeading
from algosat.store.wakeup.channels import Listener
from algosat.systemd import notify
from algosat.trading.desk import Desk

_FIRST_LOOK: Final = 0.01  # seconds
_HOUSEKEEPING: Final = 0.1
_SILENT_TOO_LONG: Final = timedelta(seconds=15)  # without a write, systemd gets no sign of life any more

_log = structlog.get_logger(__name__)
T = TypeVar("T")


class Engine:
    """Leads: sends, books and keeps the house until it is told to stop."""

    def __init__(
        self, desk: Desk, parts: Parts, listener: Listener, live: LiveSettings, stopping: threading.Event
    ) -> None:
        """It ends soon after `stopping` is set."""
        self._desk, self._parts, self._bell, self._live = desk, parts, listener, live
        self._stopping = stopping
        self._pulse = Heartbeat(desk, parts)
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._watched, args=(work,), name=name, daemon=True)
            for name, work in (("housekeeping", self._keep_house), ("pulse", self._beat))
        ]

    def run(self) -> None:
        """Work until told to stop. Raises NotLeading when the lead is lost."""
        self._begin()
        try:
            self._route()
        finally:
            self._stopping.set()
            self._end()
        if self._failure is not None:
            raise self._failure

    def _begin(self) -> None:
        self._parts.reconciler.begin()
        self._parts.report_processor.start()
        self._parts.broker.start(self._parts.report_processor.push, self._parts.quotes.take)
        list_instruments(self._desk, self._parts.broker.instruments())
        self._pulse.step()
        for thread in self._threads:
            thread.start()
        _log.info("engine_leads", broker=self._parts.broker.name, account=self._desk.account)

    def _route(self) -> None:
        poll = self._live.files.algosat.engine.poll_seconds
        wait = _FIRST_LOOK
        while not self._stopping.is_set():
            self._bell.wait(wait)
            if self._desk.clock() - self._pulse.last < _SILENT_TOO_LONG:
                notify("WATCHDOG=1")
            again: float | None = self._attempt("route", self._parts.send)
            wait = poll if again is None else min(again, poll)

    def _watched(self, work: Callable[[], None]) -> None:
        """An engine without one of its threads is none: it ends, and systemd starts it anew."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it was, it must not go unseen
            _log.exception("thread_failed", thread=threading.current_thread().name)
            self._failure = error
            self._stopping.set()

    def _keep_house(self) -> None:
        while not self._stopping.wait(_HOUSEKEEPING):
            _ = self._live.current  # whoever listens for changed settings hears of them
            self._attempt("reconcile", self._parts.reconciler.step)
            self._attempt("clock", lambda: self._parts.clock.step(self._parts.reconciler.read_at))
            self._attempt("sweep", self._parts.sweeper.step)

    def _beat(self) -> None:
        while not self._stopping.wait(FLUSH_EVERY.total_seconds()):
            self._attempt("pulse", self._pulse.step)

    def _attempt(self, name: str, step: Callable[[], T]) -> T | None:
        """One round. What fails is tried again with the next one; only a lost lead ends the engine."""
        try:
            return step()
        except NotLeading as error:
            self._failure = error
            self._stopping.set()
        except (AlgosatError, SQLAlchemyError, OSError):
            _log.exception("round_failed", part=name)
        return None

    def _end(self) -> None:
        notify("STOPPING=1")
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=10)
        self._parts.router.stop()
        for lane in self._parts.workers:
            lane.close()
        self._parts.broker.stop()
        self._parts.report_processor.stop()
        if self._failure is None:
            self._attempt("pulse", lambda: self._pulse.beat(leading=False))
        _log.info("engine_ends")
