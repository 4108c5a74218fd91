"""The engine's threads, from taking the lead to releasing it: a lane for each account.

A lane has its own threads, broker, workers, circuit breaker and outbound limits. A broker that hangs, fails
or does not start delays its own lane only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from algosat.config.live import LiveSettings
from algosat.engine.assembly import Components
from algosat.engine.heartbeat import (
    AccountHeartbeat,
    EngineHeartbeat,
    alert_of_absence,
    alert_of_missing_accounts,
    unchecked,
)
from algosat.engine.quotes import FLUSH_EVERY
from algosat.engine.router import Fence
from algosat.resilience.error_log import ErrorLog
from algosat.store.leader_lock import NotLeading
from algosat.store.wakeup.channels import Listener
from algosat.systemd import notify

_FIRST_WAIT: Final = 0.01  # seconds
_OFTEN, _SELDOM = 0.1, 0.5  # seconds between the rounds of a duty, most of which find nothing to do
_EMERGENCY_EVERY: Final = 0.25  # seconds
_CONNECT_SECONDS: Final = 2.0  # for all brokers, before the engine says that it leads
_CONNECT_EVERY: Final = 5.0  # seconds between attempts to start a broker
_SILENT_AFTER: Final = timedelta(seconds=15)  # without a write, the watchdog is not notified any more
_HUNG_SECONDS: Final = 15.0  # a round that lasts longer has hung, unless it waits for the broker
_DUTIES_END_SECONDS: Final = 10.0  # for the rounds under way, when the engine ends
_STOP_SECONDS: Final = 20.0  # for a lane; a broker call that hangs is left behind

_log = structlog.get_logger(__name__)
T = TypeVar("T")


class Shutdown:
    """The end of the engine: asked for from outside, or because the lead was lost."""

    def __init__(self, event: threading.Event, errors: ErrorLog) -> None:
        self._event, self._errors = event, errors
        self.failure: NotLeading | None = None

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        return self._event.wait(seconds)

    def end(self, failure: NotLeading | None = None) -> None:
        self.failure = self.failure or failure
        self._event.set()

    def attempt(self, name: str, step: Callable[[], T], **context: Any) -> T | None:
        """Run one step. A step that fails is tried again in the next round; a lost lead ends the engine."""
        place = " ".join(("engine", *context.values(), name))
        try:
            result = step()
        except NotLeading as error:
            self.end(error)
            return None
        except Exception as error:  # noqa: BLE001 - an adapter's mistake must not end the lanes of other accounts
            _log.exception("round_failed", part=name, **context)
            self._errors.round_failed(error, place)
            return None
        self._errors.round_passed(place)
        return result


@dataclass(frozen=True, slots=True)
class Duty:
    """Work of a lane that has a thread of its own, so that it goes on when another duty hangs."""

    name: str
    step: Callable[[], object]
    every: float  # seconds between two rounds
    needs_broker: bool = False  # begins when the broker has started


class Lane:
    """The threads of one account: sends its orders, processes its reports and does its periodic duties."""

    def __init__(self, components: Components, listener: Listener, poll: float, stopping: Shutdown) -> None:
        """Build the lane.

        Args:
            listener: The account's wake-up channel for orders.
            poll: Seconds after which the lane looks for orders without a wake-up.
        """
        self._components, self._listener, self._poll = components, listener, poll
        self._stopping = stopping
        self.account = components.desk.account
        self.heartbeat = AccountHeartbeat(components)
        self._connected, self._listed = threading.Event(), threading.Event()
        works = {"router": self._run_router, "broker": self._run_broker}
        works |= {duty.name: partial(self._run_duty, duty) for duty in self._duties()}
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=f"{name} {self.account}", daemon=True)
            for name, work in works.items()
        ]

    def _duties(self) -> list[Duty]:
        components, duties = self._components, self._components.duties
        flush_every = FLUSH_EVERY.total_seconds()
        return [
            # Pushed reports are processed as they come: the step waits for them.
            Duty("reports", lambda: components.report_processor.step(_SELDOM), 0),
            Duty("quotes", components.quotes.flush, flush_every),
            Duty("instruments", self._list_instruments, _OFTEN, needs_broker=True),
            Duty("reconcile", components.reconciler.step, _OFTEN, needs_broker=True),
            Duty("books", components.book_check.step, _SELDOM, needs_broker=True),
            Duty("conversions", components.conversions.step, _OFTEN, needs_broker=True),
            Duty("feeds", components.feeds.step, _OFTEN, needs_broker=True),
            Duty("exits", duties.advance_exits, _OFTEN),
            Duty("losses", duties.watch_losses, _OFTEN),
            Duty("closing", duties.close, _OFTEN),
            Duty("settlement", duties.settle, _OFTEN),
            Duty("expiry", duties.expire, _SELDOM),
            Duty("alerts", duties.renew_alerts, _SELDOM),
            # While the store refuses writes, the others wait for it.
            Duty("emergency", components.emergency_cancels.step, _EMERGENCY_EVERY),
            Duty("sweep", components.sweeper.step, _SELDOM),
        ]

    def start(self) -> None:
        """Start the threads. One of them connects to the broker."""
        components = self._components
        components.reconciler.mark_interrupted()
        alert_of_absence(components.desk)
        for thread in self._threads:
            thread.start()

    def await_connection(self, seconds: float) -> None:
        """Wait until the broker has started, with its instruments and first quotes stored.

        The wait ends after `seconds`.
        """
        self._listed.wait(seconds)

    def step_requests(self) -> None:
        """Begin to answer what API and command line ask of the broker."""
        self._stopping.attempt("requests", self._components.requests.step, account=self.account)

    def hung_duties(self) -> list[str]:
        """Return the duties that hang, but not in a call to the broker: a new engine would hang there too."""
        return self.heartbeat.rounds.hung(_HUNG_SECONDS, self._components.guarded_broker.holds)

    def stop(self) -> None:
        """End the threads, and reject the orders that were certainly not sent."""
        deadline = time.monotonic() + _DUTIES_END_SECONDS
        for thread in self._threads:
            thread.join(timeout=max(deadline - time.monotonic(), 0))
        self._components.router.stop()
        for workers in self._components.workers:
            workers.close()
        self._components.guarded_broker.stop()
        self._stopping.attempt("reports", self._components.report_processor.step, account=self.account)

    def _run(self, work: Callable[[], None]) -> None:
        """Run the work of a thread, all log lines of which name the account."""
        structlog.contextvars.bind_contextvars(account=self.account, mode=self._components.desk.mode)
        work()

    def _run_router(self) -> None:
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            self._listener.wait(wait)
            retry_in = self._round("router", self._components.send_due)
            wait = self._poll if retry_in is None else min(retry_in, self._poll)

    def _run_broker(self) -> None:
        """Start the broker, then ask for its session."""
        while not self._stopping.is_set() and not self._round("broker", self._connect):
            self._stopping.wait(_CONNECT_EVERY)
        self._round("broker", self.heartbeat.step)
        self._round("quotes", self._components.quotes.flush)
        self._connected.set()
        while not self._stopping.wait(_SELDOM):
            self._round("broker", self.heartbeat.step)

    def _list_instruments(self) -> None:
        self._components.instruments.step()
        self._listed.set()

    def _connect(self) -> bool:
        components = self._components
        components.feeds.begin()
        components.guarded_broker.start(
            components.report_processor.enqueue,
            components.quotes.update,
            components.feed_changed,
        )
        _log.info("engine_leads", broker=components.guarded_broker.name, account=self.account)
        return True

    def _run_duty(self, duty: Duty) -> None:
        while not self._stopping.wait(duty.every):
            if self._connected.is_set() or not duty.needs_broker:
                self._round(duty.name, duty.step)

    def _round(self, duty: str, step: Callable[[], T]) -> T | None:
        """Do a round of a duty. Only one that does not fail is completed."""
        rounds = self.heartbeat.rounds
        rounds.begin(duty)
        outcome = self._stopping.attempt(duty, partial(_completed, step), account=self.account)
        rounds.end(duty, completed=outcome is not None)
        return None if outcome is None else outcome[0]


def _completed(step: Callable[[], T]) -> tuple[T]:
    return (step(),)


class Engine:
    """Runs as the leader, with a lane for each account, until stopped."""

    def __init__(
        self,
        all_components: Sequence[Components],
        listeners: Sequence[Listener],
        requests: Listener,
        live: LiveSettings,
        stopping: threading.Event,
        require_owner: Fence = unchecked,
    ) -> None:
        """Build the engine.

        Args:
            all_components: Those of each account, the first account's first.
            listeners: The accounts' wake-up channels for orders.
            requests: The wake-up channel for what API and command line ask of the brokers.
            stopping: Ends the engine when it is set; a lost lead sets it too.
            require_owner: Raises NotLeading when the store no longer belongs to this machine.
        """
        self._live, self._requests = live, requests
        self._stopping = Shutdown(stopping, all_components[0].desk.errors)
        self._poll = live.files.algosat.engine.poll_seconds
        self._lanes = [
            Lane(components, listener, self._poll, self._stopping)
            for components, listener in zip(all_components, listeners, strict=True)
        ]
        self._requests_thread = threading.Thread(target=self._run_requests, name="requests", daemon=True)
        self._desks = [each.desk for each in all_components]
        self._heartbeat = EngineHeartbeat(
            all_components[0], [lane.heartbeat for lane in self._lanes], require_owner
        )

    def run(self) -> None:
        """Work until stopped. Raises NotLeading when the lead is lost."""
        try:
            alert_of_missing_accounts(self._desks)
            for lane in self._lanes:
                lane.start()
            self._await_connections()
            self._heartbeat.write()
            self._requests_thread.start()
            self._run_heartbeat()
        finally:
            self._stopping.end()
            self._shut_down()
        if self._stopping.failure is not None:
            raise self._stopping.failure

    def _await_connections(self) -> None:
        """Wait until every broker has started, but not long for one that hangs."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        for lane in self._lanes:
            lane.await_connection(max(deadline - time.monotonic(), 0))

    def _run_heartbeat(self) -> None:
        while not self._stopping.wait(FLUSH_EVERY.total_seconds()):
            _ = self._live.current  # reading the settings notifies their listeners of changes
            self._stopping.attempt("heartbeat", self._heartbeat.step)
            if self._heartbeat.silence() < _SILENT_AFTER and not self._finds_hung_duty():
                notify("WATCHDOG=1")

    def _finds_hung_duty(self) -> bool:
        """Return whether a duty hangs. Then systemd ends the engine, and starts a new one."""
        hung = {lane.account: duties for lane in self._lanes if (duties := lane.hung_duties())}
        if hung:
            _log.critical("duties_hang", duties=hung, seconds=_HUNG_SECONDS)
        return bool(hung)

    def _run_requests(self) -> None:
        while not self._stopping.is_set():
            for lane in self._lanes:
                lane.step_requests()
            self._requests.wait(self._poll)

    def _shut_down(self) -> None:
        notify("STOPPING=1")
        ends = [
            threading.Thread(target=lane.stop, name=f"end {lane.account}", daemon=True)
            for lane in self._lanes
        ]
        for end in ends:
            end.start()
        for end, lane in zip(ends, self._lanes, strict=True):
            end.join(_STOP_SECONDS)
            if end.is_alive():
                _log.error("lane_does_not_end", account=lane.account, seconds=_STOP_SECONDS)
        if self._requests_thread.is_alive():
            self._requests_thread.join(timeout=10)
        if self._stopping.failure is None:
            self._stopping.attempt("heartbeat", lambda: self._heartbeat.write(leading=False))
        _log.info("engine_ends")
