"""The engine's process: what it needs, built and handed in; signals; who leads."""

from __future__ import annotations

import threading
from typing import Final

import structlog

from algosat.brokers.base import Broker
from algosat.brokers.paper.build import paper_broker
from algosat.config.live import LiveSettings
from algosat.config.settings import AlgosatFile, Settings
from algosat.engine import workers
from algosat.engine.assembly import assemble
from algosat.engine.engine import Engine
from algosat.monitoring import logs
from algosat.store import ledger, overrides, schema_version
from algosat.store.database import Database
from algosat.store.leader_lock import LeaderLock, leader_lock_of
from algosat.store.wakeup import backend, channels
from algosat.store.writer import Writer
from algosat.systemd import notify, stop_on_signals
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
    schema_version.await_current(database)
    leader_lock = leader_lock_of(database)
    stopping = stop_on_signals()
    notify("READY=1", "STATUS=standing by")
    try:
        if _lead(leader_lock, stopping):
            _work(settings, database, leader_lock, stopping)
    finally:
        leader_lock.release()
        database.close()


def _lead(leader_lock: LeaderLock, stopping: threading.Event) -> bool:
    """Stand by until the lead is free. Whether it was taken before somebody said stop."""
    if leader_lock.acquire():
        return True
    _log.info("engine_stands_by")
    while not stopping.wait(_STANDBY_SECONDS):
        notify("WATCHDOG=1")
        if leader_lock.acquire():
            return True
    return False


def _work(settings: Settings, database: Database, leader_lock: LeaderLock, stopping: threading.Event) -> None:
    algosat = settings.algosat
    writer = Writer(database)
    notifier = backend.notifier(database, algosat.runtime_directory)
    listener = backend.listener(database, algosat.runtime_directory, channels.ENGINE)
    desk = desks.build(settings, database, writer, notifier)
    parts = assemble(
        desk,
        _broker(algosat, desk),
        algosat.engine,
        places=workers.places(),
        exits=workers.exits(),
        fence=leader_lock.fence,
    )
    live = LiveSettings(settings, lambda: overrides.read(database))
    live.on_change(lambda changed: logs.set_level(changed.algosat.logging.level))
    notify("STATUS=leading")
    try:
        Engine(desk, parts, listener, live, stopping).run()
    finally:
        listener.close()
        notifier.close()
        writer.close()


def _broker(algosat: AlgosatFile, desk: Desk) -> Broker:
    """The broker that the settings name."""
    desk.writer.run(lambda connection: ledger.deposit(connection, desk.account, algosat.paper.starting_cash))
    return paper_broker(algosat, desk.writer)
