"""What handlers use: the services of this process, the caller, and the correlation id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, cast

from flask import current_app, request
from prometheus_client.registry import Collector

from algosat.api.application import ApiRequest
from algosat.api.waiting import Waiting
from algosat.clock import Clock
from algosat.config.live import LiveSettings
from algosat.config.settings import AccountSettings
from algosat.domain.capabilities import Mode
from algosat.host.sampler import Sampler
from algosat.live import manage
from algosat.monitoring import correlation
from algosat.monitoring.health import Health
from algosat.security.identity import Identity
from algosat.security.keyring import Keyring
from algosat.security.passwords import Passwords
from algosat.security.principals import Principal
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.store.database import Database
from algosat.store.engine_requests import EngineRequest
from algosat.store.writer import Writer
from algosat.trading.desk import Desk, Desks
from algosat.trading.engine_requests import EngineRequests, RequestKind

NAME: Final = "algosat"


@dataclass(frozen=True, slots=True)
class Services:
    """The services behind the routes, built once in app.py."""

    live: LiveSettings
    database: Database
    writer: Writer
    identity: Identity
    passwords: Passwords
    keyring: Keyring
    health: Health
    state_metrics: Collector
    sampler: Sampler
    desks: Desks
    waiting: Waiting
    engine_requests: EngineRequests
    clock: Clock

    @property
    def desk(self) -> Desk:
        """The desk of the first account."""
        return self.desks.first

    def broker_of(self, account: str) -> str:
        """Return the name of the account's broker."""
        return self.settings_of(account).broker

    def settings_of(self, account: str) -> AccountSettings:
        """Return the settings of an account that is configured."""
        return next(each for each in self.live.files.algosat.accounts if each.name == account)

    def close(self) -> None:
        """Stop threads and close connections. No request may be under way."""
        self.waiting.close()
        self.health.close()
        self.sampler.close()
        self.desk.errors.close()
        self.writer.close()
        self.desk.notifier.close()
        self.database.close()


def desk_of(account: str | None) -> Desk:
    """Return the desk of an account; None: of the first. Raises NotFound, naming the accounts."""
    return _about(services().desks.of(account))


def desk_of_order(order_id: str) -> Desk:
    """Return the desk of the order's account. Raises NotFound."""
    desks = services().desks
    if desks.are_one:
        return _about(desks.first)
    with services().database.read() as connection:
        return _about(desks.of(ledger.get(connection, order_id).terms.account))


def desk_of_strategy(name: str, account: str | None) -> Desk:
    """Return the desk of an account; None: of the one on which the strategy trades. Raises NotFound."""
    return _about(manage.desk_for(services().desks, name, account))


def _about(desk: Desk) -> Desk:
    """Note the desk that this request is about, for the log."""
    cast(ApiRequest, request).desk = desk
    return desk


def mode_of(account: str) -> Mode | None:
    """Return PAPER or LIVE; None for an account that is no longer configured."""
    return services().desks.mode(account)


def services() -> Services:
    """Return the services of this process."""
    return cast(Services, current_app.extensions[NAME])


def caller() -> Principal:
    """Return the caller of this request."""
    return cast(Principal, cast(ApiRequest, request).caller)


def correlation_id() -> str:
    """Return the correlation id of this request."""
    return correlation.current.get()


def cause() -> Cause:
    """Return the actor and correlation id for events that this request causes."""
    return Cause(caller().actor, correlation_id())


def send_request(
    kind: RequestKind, account: str, arguments: Mapping[str, Any] = MappingProxyType({})
) -> EngineRequest:
    """Ask the broker of an account, through the engine. Raises EngineAbsent and EngineBusy."""
    return services().engine_requests.send(kind, account, arguments, cause())


def receive_answer(request: EngineRequest) -> Any:
    """Wait for the engine's answer to a request, and return it as JSON data.

    Raises the errors of `engine_requests.ERRORS`.
    """
    served = services()

    def wait(waited: EngineRequest) -> EngineRequest:
        return served.waiting.until_answered(waited, (waited.deadline - served.clock()).total_seconds())

    return served.engine_requests.receive(request, wait)
