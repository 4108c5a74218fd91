"""The engine's threads, from taking the lead to releasing it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from algosat.config.live import LiveSettings
from algosat.engine.assembly import Components
from algosat.engine.heartbeat import EngineHeartbeat, alert_of_absence
from algosat.engine.quotes import FLUSH_EVERY
from algosat.errors import AlgosatError
from algosat.store.leader_lock import NotLeading
from algosat.store.wakeup.channels import Listener
from algosat.systemd import notify
from algosat.trading.desk import Desk

_FIRST_WAIT: Final = 0.01  # seconds
_DUTIES_EVERY: Final = 0.1  # seconds
_SILENT_AFTER: Final = timedelta(seconds=15)  # without a write, the watchdog is not notified any more

_log = structlog.get_logger(__name__)
T = TypeVar("T")


class Engine:
    """Runs as the leader: sends orders, processes reports and does periodic duties until stopped."""

    def __init__(
        self,
        desk: Desk,
        components: Components,
        listener: Listener,
        requests: Listener,
        live: LiveSettings,
        stopping: threading.Event,
    ) -> None:
        """Build the engine.

        Args:
            listener: The wake-up channel for orders.
            requests: The wake-up channel for what API and command line ask of the broker.
            stopping: Ends the engine when it is set; a thread that fails sets it too.
        """
        self._desk, self._components, self._live = desk, components, live
        self._listener, self._requests = listener, requests
        self._stopping = stopping
        self._heartbeat = EngineHeartbeat(desk, components)
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run_thread, args=(work,), name=name, daemon=True)
            for name, work in (
                ("duties", self._run_duties),
                ("heartbeat", self._run_heartbeat),
                ("requests", self._run_requests),
            )
        ]

    def run(self) -> None:
        """Work until stopped. Raises NotLeading when the lead is lost."""
        self._start()
        try:
            self._run_router()
        finally:
            self._stopping.set()
            self._shut_down()
        if self._failure is not None:
            raise self._failure

    def _start(self) -> None:
        components = self._components
        components.reconciler.mark_interrupted()
        components.report_processor.start()
        components.broker.start(
            components.report_processor.enqueue,
            components.quotes.update,
            components.feed_changed,
        )
        components.instruments.step()
        alert_of_absence(self._desk)
        self._heartbeat.step()
        for thread in self._threads:
            thread.start()
        _log.info("engine_leads", broker=components.broker.name, account=self._desk.account)

    def _run_router(self) -> None:
        poll = self._live.files.algosat.engine.poll_seconds
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            self._listener.wait(wait)
            if self._desk.clock() - self._heartbeat.last_write < _SILENT_AFTER:
                notify("WATCHDOG=1")
            retry_in: float | None = self._attempt("route", self._components.send_due)
            wait = poll if retry_in is None else min(retry_in, poll)

    def _run_thread(self, work: Callable[[], None]) -> None:
        """End the engine if one of its threads fails; systemd restarts it."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - no failure may end the thread unnoticed
            _log.exception("thread_failed", thread=threading.current_thread().name)
            self._failure = error
            self._stopping.set()

    def _run_duties(self) -> None:
        components = self._components
        while not self._stopping.wait(_DUTIES_EVERY):
            _ = self._live.current  # reading the settings notifies their listeners of changes
            self._attempt("reconcile", components.reconciler.step)
            self._attempt("duties", lambda: components.duties.step(components.reconciler.read_at))
            self._attempt("books", components.book_check.step)
            self._attempt("instruments", components.instruments.step)
            self._attempt("sweep", components.sweeper.step)

    def _run_heartbeat(self) -> None:
        while not self._stopping.wait(FLUSH_EVERY.total_seconds()):
            self._attempt("heartbeat", self._heartbeat.step)

    def _run_requests(self) -> None:
        poll = self._live.files.algosat.engine.poll_seconds
        while not self._stopping.is_set():
            self._attempt("requests", self._components.requests.step)
            self._requests.wait(poll)

    def _attempt(self, name: str, step: Callable[[], T]) -> T | None:
        """Run one step. A step that fails is tried again in the next round; a lost lead ends the engine."""
        try:
            return step()
        except NotLeading as error:
            self._failure = error
            self._stopping.set()
        except (AlgosatError, SQLAlchemyError, OSError):
            _log.exception("round_failed", part=name)
        return None

    def _shut_down(self) -> None:
        notify("STOPPING=1")
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=10)
        self._components.router.stop()
        for workers in self._components.workers:
            workers.close()
        self._components.broker.stop()
        self._components.report_processor.stop()
        if self._failure is None:
            self._attempt("heartbeat", lambda: self._heartbeat.write(leading=False))
        _log.info("engine_ends")
