"""What a handler may ask for: the collaborators of this process, and who is asking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from flask import current_app, request

from algosat.api.application import ApiRequest
from algosat.api.waiting import Waiting
from algosat.clock import Clock
from algosat.config.live import LiveSettings
from algosat.monitoring import correlation
from algosat.monitoring.health import Health
from algosat.resilience.error_log import ErrorLog
from algosat.security.identity import Identity
from algosat.security.passwords import Passwords
from algosat.security.principals import Principal
from algosat.store.audit import Cause
from algosat.store.database import Database
from algosat.store.writer import Writer
from algosat.trading.desk import Desk

NAME: Final = "algosat"


@dataclass(frozen=True, slots=True)
class Services:
    """Built once in app.py."""

    live: LiveSettings
    database: Database
    writer: Writer
    identity: Identity
    passwords: Passwords
    health: Health
    errors: ErrorLog
    desk: Desk
    waiting: Waiting
    clock: Clock

    def close(self) -> None:
        """Give everything back, once no request is under way."""
        self.waiting.close()
        self.health.close()
        self.errors.close()
        self.writer.close()
        self.desk.notifier.close()
        self.database.close()


def services() -> Services:
    return cast(Services, current_app.extensions[NAME])


def caller() -> Principal:
    return cast(Principal, cast(ApiRequest, request).caller)


def correlation_id() -> str:
    return correlation.current.get()


def cause() -> Cause:
    """Who sets something off by this request."""
    return Cause(caller().actor, correlation_id())
