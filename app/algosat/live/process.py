"""The process of one live strategy: its main loop, its checkpoint and its memory limit."""

from __future__ import annotations

import fcntl
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

import orjson
import psutil
import structlog

from algosat.config.live import LiveSettings
from algosat.errors import AlgosatError, Conflict, InvalidBody
from algosat.live import checkpoint, definitions
from algosat.live.checkpoint import Checkpoint
from algosat.live.definitions import Definition
from algosat.live.live_context import LiveContext
from algosat.live.updates import DeliveredOrders, OrderUpdates, QuoteUpdates
from algosat.live.watchdog_pipe import SupervisorGone, WatchdogPipe
from algosat.store import schema_version
from algosat.store.database import Database
from algosat.store.wakeup import backend, channels
from algosat.strategies import catalog
from algosat.strategies.base import State
from algosat.strategies.parameters import Parameters
from algosat.strategies.runner import Runner
from algosat.trading.desk import Desk

_POLL: Final = 0.25  # seconds between two reads of the market
# A quote of the last moment of a bar may reach the store after the bar has ended.
_GRACE: Final = timedelta(seconds=1)

_log = structlog.get_logger(__name__)


def await_store(
    database: Database, watchdog: WatchdogPipe, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait until the store's server is there, and ping meanwhile: its absence is not a crash."""

    def pause(seconds: float) -> None:
        watchdog.ping()
        sleep(seconds)

    schema_version.await_current(database, sleep=pause)


def run(desk: Desk, name: str, live: LiveSettings, stopping: threading.Event, watchdog: WatchdogPipe) -> None:
    """Run a strategy until `stopping` is set. The settings that can change at run time follow the store.

    Raises NotFound, Conflict if another process runs it, and every exception of the strategy.
    """
    with only_one(live.files.algosat.runtime_directory, name):
        with desk.database.read() as connection:
            definition = definitions.find(connection, name)
            saved = checkpoint.load(connection, name)
            delivered = DeliveredOrders.begin(connection, name, saved.delivered if saved else None)
        strategy_class = catalog.class_named(definition.latest.class_name)
        parameters = catalog.parameters_of(strategy_class, definition.latest.parameters)
        limit_memory(parameters.memory_mb)
        state = _initial_state(desk, definition, parameters, saved)
        context = LiveContext(
            desk, name, definition.latest.version, parameters.product, orjson.dumps(state), delivered
        )
        strategy = strategy_class(parameters, context, state)
        runner = Runner(strategy, context, watching_since=desk.clock(), daily_bars=delivered.daily_bars)
        _log.info("strategy_started", strategy=name, run=definition.run)
        runner.start(desk.clock(), definition.run)
        _handle_interrupted(desk, runner, definition, saved)
        updates = OrderUpdates(name, delivered, desk.clock)
        _loop(desk, runner, parameters, updates, live, stopping, watchdog)
        runner.stop(desk.clock(), definition.run)
        context.save()
        _log.info("strategy_stopped", strategy=name, run=definition.run)


def _loop(
    desk: Desk,
    runner: Runner,
    parameters: Parameters,
    orders: OrderUpdates,
    live: LiveSettings,
    stopping: threading.Event,
    watchdog: WatchdogPipe,
) -> None:
    quotes = QuoteUpdates(desk.venue, parameters.symbols)
    # Notified whenever an order changes.
    listener = backend.listener(desk.database, live.files.algosat.runtime_directory, channels.web())
    try:
        while not stopping.is_set():
            watchdog.ping()
            _ = live.current  # reading the settings notifies their listeners of changes
            with desk.database.read() as connection:
                fresh, changed = quotes.read(connection), orders.read(connection)
            for order in changed:
                runner.order(order)
            for quote in fresh:
                runner.pass_time(quote.at)
                runner.quote(quote)
            runner.pass_time(desk.clock() - _GRACE)
            listener.wait(_POLL)
    finally:
        listener.close()


def _initial_state(
    desk: Desk, definition: Definition, parameters: Parameters, saved: Checkpoint | None
) -> State:
    """Return the state of the checkpoint, migrated by the strategy's class if its parameters have changed."""
    if saved is None:
        return {}
    if saved.version == definition.latest.version:
        return saved.state
    with desk.database.read() as connection:
        before = definitions.version(connection, definition.name, saved.version)
    if before.class_name != definition.latest.class_name:
        return {}
    strategy_class = catalog.class_named(before.class_name)
    try:
        parameters_before = catalog.parameters_of(strategy_class, before.parameters)
    except InvalidBody:  # parameters of an older release, which this one cannot compare
        return {}
    return strategy_class.migrate_state(saved.state, parameters_before, parameters)


def _handle_interrupted(desk: Desk, runner: Runner, definition: Definition, saved: Checkpoint | None) -> None:
    """Handle again the event in which the last process died, if it had the same parameters.

    The idempotency keys of the event's orders make sure that none is placed twice.
    """
    if saved is None or saved.version != definition.latest.version:
        return
    for data in saved.interrupted:
        with desk.database.read() as connection:
            event = checkpoint.event_from(connection, data)
        _log.warning("occasion_again", strategy=definition.name, occasion=event.name)
        runner.deliver(event)


@contextmanager
def only_one(runtime_directory: Path, name: str) -> Iterator[None]:
    """Hold the strategy's lock: two processes would trade twice. Raises Conflict if another one holds it."""
    with (runtime_directory / f"strategy-{name}.lock").open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(f"another process runs strategy {name} already") from error
        yield


def limit_memory(megabytes: int) -> None:
    """Limit the memory of this process to what it has now plus `megabytes`; beyond, MemoryError is raised."""
    most = psutil.Process().memory_info().vms + megabytes * 2**20
    try:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (OSError, ValueError) as error:  # the supervisor watches the memory too
        _log.warning("memory_not_limited", reason=str(error))


def report_failure(watchdog: WatchdogPipe, name: str, error: Exception) -> None:
    """Report why this process ends, to the log and to the supervisor."""
    reason = error.detail if isinstance(error, AlgosatError) else f"{type(error).__name__}: {error}"
    _log.error("strategy_failed", strategy=name, reason=reason, exc_info=error)
    with suppress(SupervisorGone):
        watchdog.failed(reason)
