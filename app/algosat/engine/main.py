"""The engine's process: wait for the leader lock, build the engine, run it until stopped."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from functools import partial
from typing import Final

import structlog

from algosat.brokers.registry import BROKERS, configured_broker
from algosat.config.live import LiveSettings, Read
from algosat.config.settings import AlgosatFile, Settings
from algosat.domain.machine import APPLICATION, Machine, StoreState
from algosat.engine import workers
from algosat.engine.assembly import assemble
from algosat.engine.engine import Engine
from algosat.engine.guarded_broker import BrokerSource
from algosat.engine.heartbeat import WaitingHeartbeat, unchecked
from algosat.errors import ConfigurationError, StoreBusy
from algosat.monitoring import correlation, logs
from algosat.security.keyring import Keyring
from algosat.store import heartbeats, machines, overrides, schema_version
from algosat.store.audit import Cause
from algosat.store.database import STATEMENT_SECONDS, Database
from algosat.store.emergency_journal import EmergencyJournal
from algosat.store.leader_lock import LeaderLock, leader_lock_of
from algosat.store.wakeup import backend, channels
from algosat.store.writer import Writer
from algosat.systemd import call_on_reload, machine_id, notify, stop_on_signals
from algosat.trading import desk as desks
from algosat.trading import store_owner
from algosat.trading.desk import Desks
from algosat.trading.emergency_merge import merge_first

_WRITE_SECONDS: Final = 1.0  # until the store must have taken a write
_STANDBY_SECONDS: Final = 0.5  # between attempts to take the leader lock
_LONGEST_NAME: Final = 64  # characters of a host name

_log = structlog.get_logger(__name__)


def run(settings: Settings, read: Read) -> None:
    """Run the engine until SIGTERM or SIGINT. SIGHUP reloads the settings, which `read` reads from the files.

    Raises ConfigurationError when the store does not have this release's schema version.
    """
    algosat = settings.algosat
    database = Database(
        algosat.database.url.get_secret_value(),
        pool_size=algosat.database.pool_size,
        max_overflow=algosat.database.max_overflow,
        statement_seconds=STATEMENT_SECONDS,
    )
    live = LiveSettings(settings, lambda: overrides.read(database), read=read)
    live.on_change(lambda changed: logs.set_level(changed.algosat.logging.level))
    live.on_reload(lambda found: notify(f"STATUS={found}"))
    call_on_reload(live.reload)
    schema_version.await_current(database)
    leader_lock = leader_lock_of(database)
    stopping = stop_on_signals()
    notify("READY=1", "STATUS=standing by")
    try:
        if _take_lead(leader_lock, stopping):
            _run_engine(settings, database, live, leader_lock, stopping)
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
    settings: Settings,
    database: Database,
    live: LiveSettings,
    leader_lock: LeaderLock,
    stopping: threading.Event,
) -> None:
    """Lead as soon as the store belongs to this machine."""
    machine = this_machine(settings)
    _prepare_for_a_full_disk(settings.algosat, database)
    with (
        closing(Writer(database)) as writer,
        closing(backend.notifier(database, settings.algosat.runtime_directory)) as notifier,
    ):
        all_desks = desks.build_all(settings, database, writer, notifier)
        merge_first(all_desks)
        with closing(all_desks.first.errors):
            if not _await_writes(writer, stopping):
                return
            if machine is None or _await_ownership(all_desks, machine, leader_lock, stopping):
                _lead(settings, all_desks, machine, live, leader_lock, stopping)


def _prepare_for_a_full_disk(algosat: AlgosatFile, database: Database) -> None:
    """Allocate the emergency journal and the disk reserve."""
    try:
        EmergencyJournal(algosat.data_directory, algosat.runtime_directory).allocate()
        if database.reserve is not None:
            database.reserve.keep(algosat.database.reserve_megabytes)
    except OSError as error:
        _log.warning("disk_reserve_failed", reason=error.strerror)


def _await_writes(writer: Writer, stopping: threading.Event) -> bool:
    """Wait until the store takes a write. Return False if stopped before.

    Without one the engine could not begin, and ending would only restart it.
    """
    while not stopping.is_set():
        try:
            writer.run(heartbeats.probe, timeout=_WRITE_SECONDS, durable=False)
        except StoreBusy as error:
            _log.critical("store_takes_no_writes", reason=error.detail)
            notify("WATCHDOG=1", "STATUS=waiting: the store takes no writes")
            stopping.wait(_STANDBY_SECONDS)
        else:
            return True
    return False


def this_machine(settings: Settings) -> Machine | None:
    """Return the machine that this process runs on; None if it has no id, which production refuses.

    Raises ConfigurationError.
    """
    found = machine_id(APPLICATION)
    if found is not None:
        return Machine(found, socket.gethostname()[:_LONGEST_NAME])
    if settings.algosat.environment == "production":
        raise ConfigurationError(
            "this machine has no id in /etc/machine-id, so a copy of its store could not be told from the "
            "original: run `systemd-machine-id-setup` as root"
        )
    _log.warning("machine_has_no_id")
    return None


def _await_ownership(
    all_desks: Desks, machine: Machine, leader_lock: LeaderLock, stopping: threading.Event
) -> bool:
    """Wait until this engine leads on a store of this machine. Return False if stopped before."""
    cause = Cause(machines.ENGINE, correlation.new())
    while store_owner.take(all_desks.first, machine, cause) is not StoreState.OWNED:
        leader_lock.release()  # on PostgreSQL the owner's engine may want it
        if not _await_adoption(all_desks, machine, stopping) or not _take_lead(leader_lock, stopping):
            return False
    return True


def _await_adoption(all_desks: Desks, machine: Machine, stopping: threading.Event) -> bool:
    """Wait until the store belongs to this machine. Return False if stopped before.

    Nothing is sent meanwhile, not even an exit or a cancel: the other machine may be trading.
    """
    _log.critical("store_belongs_to_another_machine", remedy="sudo algosat engine adopt")
    notify("STATUS=waiting: the store belongs to another machine, see `algosat engine status`")
    heartbeat = WaitingHeartbeat(list(all_desks))
    while not stopping.is_set():
        heartbeat.write()
        notify("WATCHDOG=1")
        stopping.wait(_STANDBY_SECONDS)
        with all_desks.first.database.read() as connection:
            if store_owner.state(connection, machine) is StoreState.OWNED:
                return True
    return False


def _lead(
    settings: Settings,
    all_desks: Desks,
    machine: Machine | None,
    live: LiveSettings,
    leader_lock: LeaderLock,
    stopping: threading.Event,
) -> None:
    algosat = settings.algosat
    database, writer = all_desks.first.database, all_desks.first.writer
    requests = backend.listener(database, algosat.runtime_directory, channels.ENGINE_REQUESTS)
    keyring = Keyring(settings.security.encryption.keys)
    listeners = [
        backend.listener(database, algosat.runtime_directory, desk.engine_channel) for desk in all_desks
    ]
    components = [
        assemble(
            desk,
            BrokerSource(
                account.broker,
                BROKERS[account.broker].capabilities,
                partial(configured_broker, algosat, account, writer, desk.calendar),
            ),
            algosat.engine,
            order_workers=workers.order_workers(desk.errors),
            cancel_workers=workers.cancel_workers(desk.errors),
            request_workers=workers.request_workers(desk.errors),
            keyring=keyring,
            key_rotation_days=settings.security.encryption.key_rotation_days,
            fence=leader_lock.fence,
        )
        for desk, account in zip(all_desks, algosat.accounts, strict=True)
    ]
    require_owner = unchecked if machine is None else partial(store_owner.require_owner, machine=machine)
    notify("STATUS=leading")
    try:
        Engine(components, listeners, requests, live, stopping, require_owner).run()
    finally:
        for listener in listeners:
            listener.close()
        requests.close()
