"""The web application, put together. With engine/main.py the only module that knows all others."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from algosat import clock
from algosat.api import all_routes
from algosat.api.application import Application
from algosat.api.context import NAME, Services
from algosat.api.lifecycle import Lifecycle
from algosat.api.routes import prepare, register
from algosat.api.waiting import Waiting
from algosat.config.live import LiveSettings
from algosat.config.settings import Settings
from algosat.errors import ConfigurationError
from algosat.health_checks import all_checks
from algosat.monitoring import logs
from algosat.monitoring.health import Health
from algosat.resilience.error_log import ErrorLog
from algosat.security.authenticator import Authenticator
from algosat.security.identity import Identity
from algosat.security.login_attempts import LoginAttempts
from algosat.security.passwords import Passwords
from algosat.security.rate_limit import ClientLimiter
from algosat.security.session_lookup import lookup_in
from algosat.security.token_grants import TokenGrants
from algosat.security.tokens import Tokens
from algosat.store import overrides, schema_version
from algosat.store.database import Database
from algosat.store.prepared import Prepared
from algosat.store.wakeup import channels
from algosat.store.writer import Writer
from algosat.trading import desk


@dataclass(frozen=True, slots=True)
class Groundwork:
    """What stands before any worker forks, and is shared by all: no thread, no open connection."""

    settings: Settings
    app: Flask
    database: Database


def create_app(settings: Settings, directory: Path, *, passwords: Passwords | None = None) -> Flask:
    """The API over the store that the settings name; `directory` is where they came from.

    Raises ConfigurationError when the store is of another version, or the access rules name no route.
    """
    return build_on(lay_ground(settings), directory, passwords=passwords)


def lay_ground(settings: Settings) -> Groundwork:
    """The routes, and the store that nobody has looked into yet.

    Raises ConfigurationError when the access rules name no route.
    """
    all_routes.require_valid(settings.protection.access_control)
    app = Application("algosat", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.algosat.api.max_body_bytes
    prepare(app)
    for route in all_routes.all_routes():
        register(app, route)
    app.url_map.update()  # the first request would
    if settings.algosat.api.trusted_proxies:
        hops = settings.algosat.api.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    return Groundwork(settings, app, _database(settings))


def build_on(ground: Groundwork, directory: Path, *, passwords: Passwords | None = None) -> Flask:
    """The application of one process, with all that works behind its routes."""
    settings, app, database = ground.settings, ground.app, ground.database
    schema_version.require_current(database)
    writer = Writer(database)
    live = LiveSettings(settings, lambda: overrides.read(database))
    live.on_change(lambda changed: logs.set_level(changed.algosat.logging.level))
    tokens = Tokens(app, settings.algosat.security)
    limiter = ClientLimiter(app, settings.algosat.security)
    authenticator = Authenticator(tokens, lookup_in(database), writer, time.time)
    errors = ErrorLog(writer, clock.now)
    passwords = passwords or Passwords()
    notifier = channels.notifier(database, settings.algosat.runtime_directory)

    app.extensions[NAME] = Services(
        live=live,
        database=database,
        writer=writer,
        identity=Identity(
            database,
            writer,
            live,
            TokenGrants(tokens, live),
            LoginAttempts(writer, live),
            passwords,
            clock.now,
        ),
        passwords=passwords,
        errors=errors,
        health=Health(all_checks(directory, live, database, limiter, clock.now)),
        desk=desk.build(settings, database, writer, notifier),
        waiting=Waiting(database, settings.algosat.runtime_directory, threads=settings.algosat.api.threads),
        clock=clock.now,
    )
    Lifecycle(all_routes.all_routes(), live, authenticator, limiter, errors).attach(app)
    return app


def make_ready(ground: Groundwork) -> None:
    """Check what can be known, and compile what can be shared, before any worker is started.

    Raises ConfigurationError.
    """
    runtime = ground.settings.algosat.runtime_directory
    if not os.access(runtime, os.W_OK):
        raise ConfigurationError(
            f"runtime_directory: {runtime} is missing, or this user may not write there: create it "
            "(on a server systemd-tmpfiles does)"
        )
    with closing(ground.database):  # no connection may cross the fork
        schema_version.await_current(ground.database)
        Prepared.compile_all(ground.database.engine.dialect)


def _database(settings: Settings) -> Database:
    wanted = settings.algosat.database
    return Database(
        wanted.url.get_secret_value(), pool_size=wanted.pool_size, max_overflow=wanted.max_overflow
    )
