"""The process of one running strategy."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

import orjson
import structlog

from algosat.errors import AlgosatError, Conflict, InvalidBody
from algosat.live import checkpoint, codec, definitions
from algosat.live.checkpoint import Checkpoint
from algosat.live.definitions import Definition
from algosat.live.live_context import LiveContext
from algosat.live.memory import limit_memory
from algosat.live.updates import Orders, Quotes, Seen
from algosat.live.watchdog_pipe import SupervisorGone, WatchdogPipe
from algosat.store import schema_version
from algosat.store.database import Database
from algosat.store.wakeup import channels, unix_socket
from algosat.strategies import catalog
from algosat.strategies.base import State
from algosat.strategies.parameters import Parameters
from algosat.strategies.runner import Runner
from algosat.trading.desk import Desk

_POLL: Final = 0.25  # seconds between looks at the market
# A quote of a window's last moment may be on its way to the store still when the window ends.
_GRACE: Final = timedelta(seconds=1)

_log = structlog.get_logger(__name__)


def await_store(
    database: Database, watchdog: WatchdogPipe, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait for a store whose server is away, and show life meanwhile: it is no failing of the strategy's."""

    def rest(seconds: float) -> None:
        watchdog.beat()
        sleep(seconds)

    schema_version.await_current(database, sleep=rest)


def run(
    desk: Desk, name: str, runtime_directory: Path, stopping: threading.Event, watchdog: WatchdogPipe
) -> None:
    """Run a strategy until `stopping` is set. Raises whatever ends it, NotFound and Conflict among others."""
    with only_one(runtime_directory, name):
        with desk.database.read() as connection:
            definition = definitions.find(connection, name)
            record = checkpoint.load(connection, name)
            seen = Seen.begin(connection, name, record.seen if record else None)
        strategy_class = catalog.class_named(definition.latest.class_name)
        parameters = catalog.parameters_of(strategy_class, definition.latest.parameters)
        limit_memory(parameters.memory_mb)
        state = _state(desk, definition, parameters, record)
        context = LiveContext(
            desk, name, definition.latest.version, parameters.product, orjson.dumps(state), seen
        )
        strategy = strategy_class(parameters, context, state)
        runner = Runner(strategy, context, watching_since=desk.clock())
        _log.info("strategy_started", strategy=name, run=definition.run)
        runner.start(desk.clock(), definition.run)
        _finish_what_was_cut_short(desk, runner, definition, record)
        _live(desk, runner, parameters, Orders(name, seen, desk.clock), runtime_directory, stopping, watchdog)
        runner.stop(desk.clock(), definition.run)
        context.save()
        _log.info("strategy_stopped", strategy=name, run=definition.run)


def _live(
    desk: Desk,
    runner: Runner,
    parameters: Parameters,
    orders: Orders,
    runtime_directory: Path,
    stopping: threading.Event,
    watchdog: WatchdogPipe,
) -> None:
    quotes = Quotes(parameters.symbols)
    listener = channels.listener(
        desk.database, runtime_directory, unix_socket.web()
    )  # rung whenever an order changes
    try:
        while not stopping.is_set():
            watchdog.beat()
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


def _state(desk: Desk, definition: Definition, parameters: Parameters, record: Checkpoint | None) -> State:
    """What the strategy remembers; what it kept under other parameters, it is asked to carry over."""
    if record is None:
        return {}
    if record.version == definition.latest.version:
        return record.state
    with desk.database.read() as connection:
        before = definitions.version(connection, definition.name, record.version)
    if before.class_name != definition.latest.class_name:
        return {}
    strategy_class = catalog.class_named(before.class_name)
    try:
        parameters_before = catalog.parameters_of(strategy_class, before.parameters)
    except InvalidBody:  # of a release whose class took other ones: what was computed by them has no meaning
        return {}
    return strategy_class.migrate_state(record.state, parameters_before, parameters)


def _finish_what_was_cut_short(
    desk: Desk, runner: Runner, definition: Definition, record: Checkpoint | None
) -> None:
    """Live through what the last process died in, if it had the same parameters; keys make that safe."""
    if record is None or record.version != definition.latest.version:
        return
    for data in record.pending:
        with desk.database.read() as connection:
            event = codec.event_from(connection, data)
        _log.warning("occasion_again", strategy=definition.name, occasion=event.name)
        runner.deliver(event)


@contextmanager
def only_one(runtime_directory: Path, name: str) -> Iterator[None]:
    """Raises Conflict while another process runs the same strategy: two would trade twice."""
    with (runtime_directory / f"strategy-{name}.lock").open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(f"strategy {name} is run by another process already") from error
        yield


def say_why(watchdog: WatchdogPipe, name: str, error: Exception) -> None:
    """Leave the reason of this process's end in the log, and with the supervisor."""
    reason = error.detail if isinstance(error, AlgosatError) else f"{type(error).__name__}: {error}"
    _log.error("strategy_failed", strategy=name, reason=reason, exc_info=error)
    with suppress(SupervisorGone):
        watchdog.failed(reason)
