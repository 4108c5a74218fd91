"""The engine's process: what it needs, built and handed in; signals; who leads."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Final

import structlog

from algosat.brokers.base import Broker
from algosat.brokers.paper.build import paper_broker
from algosat.config.live import LiveSettings
from algosat.config.settings import Algosat, Settings
from algosat.engine import lanes
from algosat.engine.engine import Engine
from algosat.engine.leadership import Leadership, leadership_of
from algosat.engine.notify import notify
from algosat.engine.parts import assemble
from algosat.monitoring import logs
from algosat.store import bells, ledger, overrides, version, wakeup
from algosat.store.database import Database
from algosat.store.writer import Writer
from algosat.trading import desk as desks
from algosat.trading.desk import Desk

_STANDBY_SECONDS: Final = 0.5  # between two attempts to take the lead

_log = structlog.get_logger(__name__)


def run(settings: Settings) -> None:
    """Run the engine until SIGTERM or SIGINT. Raises ConfigurationError when the store does not fit."""
    algosat = settings.algosat
    database = Database(
        algosat.database.url.get_secret_value(),
        pool_size=algosat.database.pool_size,
        max_overflow=algosat.database.max_overflow,
    )
    version.await_current(database)
    leadership = leadership_of(database)
    stopping = threading.Event()
    _on_signals(stopping)
    notify("READY=1", "STATUS=standing by")
    try:
        if _lead(leadership, stopping):
            _work(settings, database, leadership, stopping)
    finally:
        leadership.release()
        database.close()


def _lead(leadership: Leadership, stopping: threading.Event) -> bool:
    """Stand by until the lead is free. Whether it was taken before somebody said stop."""
    if leadership.acquire():
        return True
    _log.info("engine_stands_by")
    while not stopping.wait(_STANDBY_SECONDS):
        notify("WATCHDOG=1")
        if leadership.acquire():
            return True
    return False


def _work(settings: Settings, database: Database, leadership: Leadership, stopping: threading.Event) -> None:
    algosat = settings.algosat
    writer = Writer(database)
    ringer = bells.ringer(database, algosat.runtime_directory)
    bell = bells.bell(database, algosat.runtime_directory, wakeup.ENGINE)
    desk = desks.build(settings, database, writer, ringer)
    parts = assemble(
        desk,
        _broker(algosat, desk),
        algosat.engine,
        places=lanes.places(),
        exits=lanes.exits(),
        fence=leadership.fence,
    )
    live = LiveSettings(settings, lambda: overrides.read(database))
    live.on_change(lambda changed: logs.set_level(changed.algosat.logging.level))
    notify("STATUS=leading")
    try:
        Engine(desk, parts, bell, live, stopping).run()
    finally:
        bell.close()
        ringer.close()
        writer.close()


def _broker(algosat: Algosat, desk: Desk) -> Broker:
    """The broker that the settings name."""
    desk.writer.run(lambda connection: ledger.deposit(connection, desk.account, algosat.paper.starting_cash))
    return paper_broker(algosat, desk.writer)


def _on_signals(stopping: threading.Event) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
