"""The web application, assembled from all packages it needs."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from algosat import clock
from algosat.api.all_routes import ROUTES, require_valid
from algosat.api.application import Application
from algosat.api.context import NAME, Services
from algosat.api.lifecycle import Lifecycle
from algosat.api.routes import prepare, register
from algosat.api.waiting import Waiting
from algosat.config.live import LiveSettings
from algosat.config.loader import load
from algosat.config.settings import Settings
from algosat.errors import ConfigurationError
from algosat.health_checks import all_checks
from algosat.host.sampler import Sampler
from algosat.monitoring import logs
from algosat.monitoring.health import Health
from algosat.resilience.bulkhead import Bulkhead
from algosat.security import encryption_keys
from algosat.security.authenticator import Authenticator
from algosat.security.identity import Identity
from algosat.security.keyring import Keyring
from algosat.security.login_attempts import LoginAttempts
from algosat.security.passwords import Passwords
from algosat.security.rate_limit import ClientLimiter
from algosat.security.session_lookup import lookup_in
from algosat.security.token_grants import TokenGrants
from algosat.security.tokens import Tokens
from algosat.state_metrics import StateMetrics
from algosat.store import overrides, schema_version
from algosat.store.database import STATEMENT_SECONDS, Database
from algosat.store.prepared import Prepared
from algosat.store.wakeup import backend
from algosat.store.writer import Writer
from algosat.trading import desk
from algosat.trading.emergency_merge import merge_first
from algosat.trading.engine_presence import EnginePresence
from algosat.trading.engine_requests import EngineRequests


@dataclass(frozen=True, slots=True)
class Preloaded:
    """What a server builds once and its workers share after the fork: no thread, no open connection."""

    app: Flask
    database: Database


def create_app(
    settings: Settings,
    directory: Path,
    *,
    preloaded: Preloaded | None = None,
    passwords: Passwords | None = None,
) -> Flask:
    """Create the API of one process over the store of the settings.

    Args:
        directory: Where the configuration files are.
        preloaded: What `preload` returned before the fork; without it, all is built here.

    Raises:
        ConfigurationError: The store has another schema version, or the access rules name no route.
    """
    preloaded = preloaded or _preloaded(settings)
    app, database = preloaded.app, preloaded.database
    schema_version.require_current(database)
    bulkhead = Bulkhead(settings.algosat.api.threads)
    writer = Writer(database, bulkhead.enter)
    live = LiveSettings(settings, lambda: overrides.read(database), read=lambda: load(directory))
    live.on_change(lambda changed: logs.set_level(changed.algosat.logging.level))
    tokens = Tokens(app, settings.algosat.security)
    limiter = ClientLimiter(app, settings.algosat.security)
    authenticator = Authenticator(tokens, lookup_in(database), writer, time.time)
    passwords = passwords or Passwords(places=bulkhead.enter)
    keyring = Keyring(settings.security.encryption.keys)
    notifier = backend.notifier(database, settings.algosat.runtime_directory)
    sampler = Sampler.of(settings.algosat.runtime_directory, settings.algosat.data_directory)
    health = Health(all_checks(directory, live, database, writer, limiter, sampler.history, clock.now))
    desks = desk.build_all(settings, database, writer, notifier)
    merge_first(desks)
    presence = EnginePresence(clock.now)
    desks = desk.build_all(settings, database, writer, notifier, require_engine=presence.require)

    app.extensions[NAME] = Services(
        live=live,
        database=database,
        writer=writer,
        identity=Identity(
            database,
            writer,
            live,
            TokenGrants(tokens, live),
            LoginAttempts(writer, live, keyring),
            passwords,
            clock.now,
        ),
        passwords=passwords,
        keyring=keyring,
        health=health,
        state_metrics=StateMetrics(
            health,
            database,
            desks,
            sampler,
            clock.now,
            partial(
                encryption_keys.due_at,
                fingerprint=keyring.fingerprint(),
                rotation_days=settings.security.encryption.key_rotation_days,
            ),
        ),
        sampler=sampler,
        desks=desks,
        waiting=Waiting(
            database, settings.algosat.runtime_directory, bulkhead, threads=settings.algosat.api.threads
        ),
        engine_requests=EngineRequests(database, writer, notifier, keyring, clock.now),
        clock=clock.now,
    )
    Lifecycle(ROUTES, live, authenticator, limiter, desks.first.errors).attach(app)
    sampler.start()
    return app


def preload(settings: Settings) -> Preloaded:
    """Build what workers share, and check the configuration before the first of them starts.

    Raises ConfigurationError.
    """
    runtime = settings.algosat.runtime_directory
    preloaded = _preloaded(settings)
    if not os.access(runtime, os.W_OK):
        raise ConfigurationError(
            f"runtime_directory: {runtime} is missing, or this user may not write there: create it "
            "(on a server systemd-tmpfiles does)"
        )
    with closing(preloaded.database):  # an open connection must not survive the fork
        schema_version.await_current(preloaded.database)
        Prepared.compile_all(preloaded.database.engine.dialect)
    return preloaded


def _preloaded(settings: Settings) -> Preloaded:
    require_valid(settings.security.access_control)
    app = Application("algosat", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.algosat.api.max_body_bytes
    prepare(app)
    for route in ROUTES:
        register(app, route)
    app.url_map.update()  # otherwise the first request would
    if settings.algosat.api.trusted_proxies:
        hops = settings.algosat.api.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    return Preloaded(app, _database(settings))


def _database(settings: Settings) -> Database:
    wanted = settings.algosat.database
    return Database(
        wanted.url.get_secret_value(),
        pool_size=wanted.pool_size,
        max_overflow=wanted.max_overflow,
        statement_seconds=STATEMENT_SECONDS,
    )
