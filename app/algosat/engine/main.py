"""The engine's process: wait for the leader lock, build the engine, run it until stopped."""

from __future__ import annotations

import threading
from typing import Final

import structlog

from algosat.brokers.registry import configured_broker
from algosat.config.live import LiveSettings
from algosat.config.settings import Settings
from algosat.engine import workers
from algosat.engine.assembly import assemble
from algosat.engine.engine import Engine
from algosat.monitoring import logs
from algosat.store import overrides, schema_version
from algosat.store.database import Database
from algosat.store.encryption import Encryption
from algosat.store.leader_lock import LeaderLock, leader_lock_of
from algosat.store.wakeup import backend, channels
from algosat.store.writer import Writer
from algosat.systemd import notify, stop_on_signals
from algosat.trading import desk as desks

_STANDBY_SECONDS: Final = 0.5  # between attempts to take the leader lock

_log = structlog.get_logger(__name__)


def run(settings: Settings) -> None:
    """Run the engine until SIGTERM or SIGINT.

    Raises ConfigurationError when the store does not have this release's schema version.
    """
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
        if _take_lead(leader_lock, stopping):
            _run_engine(settings, database, leader_lock, stopping)
    finally:
        leader_lock.release()
        database.close()


def _take_lead(leader_lock: LeaderLock, stopping: threading.Event) -> bool:
    """Stand by until the leader lock is free. Return False if stopped before."""
    if leader_lock.acquire():
        return True
    _log.info("engine_stands_by")
    while not stopping.wait(_STANDBY_SECONDS):
        notify("WATCHDOG=1")
        if leader_lock.acquire():
            return True
    return False


def _run_engine(
    settings: Settings, database: Database, leader_lock: LeaderLock, stopping: threading.Event
) -> None:
    algosat = settings.algosat
    writer = Writer(database)
    notifier = backend.notifier(database, algosat.runtime_directory)
    requests = backend.listener(database, algosat.runtime_directory, channels.ENGINE_REQUESTS)
    encryption = Encryption(settings.security.encryption.keys)
    all_desks = desks.build_all(settings, database, writer, notifier)
    listeners = [
        backend.listener(database, algosat.runtime_directory, desk.engine_channel) for desk in all_desks
    ]
    components = [
        assemble(
            desk,
            configured_broker(algosat, account, writer, desk.calendar),
            algosat.engine,
            order_workers=workers.order_workers(),
            cancel_workers=workers.cancel_workers(),
            request_workers=workers.request_workers(),
            encryption=encryption,
            fence=leader_lock.fence,
        )
        for desk, account in zip(all_desks, algosat.accounts, strict=True)
    ]
    live = LiveSettings(settings, lambda: overrides.read(database))
    live.on_change(lambda changed: logs.set_level(changed.algosat.logging.level))
    notify("STATUS=leading")
    try:
        Engine(components, listeners, requests, live, stopping).run()
    finally:
        for listener in listeners:
            listener.close()
        requests.close()
        notifier.close()
        writer.close()
