"""Answers to what API and command line ask of a broker besides orders, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, astuple
from datetime import timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from algosat.brokers.base import BrokerSession, CallKind
from algosat.brokers.probe import probe
from algosat.domain.bars import Bar
from algosat.domain.capabilities import Capabilities
from algosat.domain.decimals import to_text
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.router import Fence
from algosat.engine.workers import Workers
from algosat.errors import AlgosatError, BrokerError
from algosat.monitoring import correlation, metrics
from algosat.security.keyring import Keyring
from algosat.store import engine_requests
from algosat.store.engine_requests import EngineRequest
from algosat.trading.desk import Desk
from algosat.trading.engine_requests import (
    CandlesWanted,
    RequestKind,
    answer_data,
    answer_error,
    decrypted,
    encrypted,
)

_KEPT_AFTER_DEADLINE: Final = timedelta(seconds=10)  # for the process that asked, which removes it

_PROBE_MARGIN: Final = timedelta(seconds=5)  # for the call that is under way when the deadline comes
_SHOWN: Final = (
    *("needs_login", "has_history", "has_positions", "has_holdings", "has_funds", "has_candles"),
    "has_conversion",
)
_OF_BAR: Final = ("open", "high", "low", "close", "volume")

_log = structlog.get_logger(__name__)


class BrokerRequests:
    """Answers the requests about one account.

    Requests wait in the store while all threads are busy: nothing is queued in memory, and an engine that
    ends loses only what it had begun.
    """

    def __init__(
        self, desk: Desk, broker: GuardedBroker, keyring: Keyring, workers: Workers, fence: Fence
    ) -> None:
        self._desk, self._broker, self._keyring = desk, broker, keyring
        self._workers, self._fence = workers, fence

    def step(self) -> None:
        """Begin to answer waiting requests, as many as there are free threads, and remove expired ones."""
        now = self._desk.clock()
        with self._desk.database.read() as connection:
            due = engine_requests.due(connection, self._desk.account, now)
        for request in due:
            if request.deadline <= now - _KEPT_AFTER_DEADLINE:
                self._write(engine_requests.remove, request.id)
            elif request.deadline > now and self._workers.free() and self._take(request):
                self._workers.run(lambda taken=request: self._answer(taken))  # type: ignore[misc]

    def _take(self, request: EngineRequest) -> bool:
        def unit(connection: Connection) -> bool:
            self._fence(connection)
            return engine_requests.take(connection, request.id, self._desk.clock())

        return self._desk.writer.run(unit, durable=False)

    def _answer(self, request: EngineRequest) -> None:
        correlation.begin(request.correlation_id)
        try:
            answer = answer_data(self._ask_broker(request))
            outcome = "answered"
        except BrokerError as error:
            answer, outcome = answer_error(error), "failed"
        except Exception as error:  # noqa: BLE001 - the process that waits must be told
            _log.exception("broker_request_failed", kind=request.kind)
            self._desk.errors.record(error, f"engine {request.account} requests")
            detail = error.detail if isinstance(error, AlgosatError) else type(error).__name__
            answer, outcome = answer_error(BrokerError(detail)), "failed"
        if not self._write(engine_requests.answer, request.id, encrypted(self._keyring, request.id, answer)):
            outcome = "late"
        metrics.ENGINE_REQUESTS.labels(request.kind, outcome, request.account).inc()
        self._desk.notify_web(request.id)

    def _ask_broker(self, request: EngineRequest) -> Any:
        arguments = decrypted(self._keyring, request.id, request.arguments)
        match RequestKind(request.kind):
            case RequestKind.SESSION:
                return _session_data(self._broker.session(), self._broker.capabilities)
            case RequestKind.PROBE:
                clock, deadline = self._desk.clock, request.deadline - _PROBE_MARGIN
                calls = probe(self._broker.ask, self._broker.capabilities, clock, deadline)
                return [asdict(each) for each in calls]
            case RequestKind.CANDLES:
                wanted = CandlesWanted.from_data(arguments)
                bars = self._broker.ask(CallKind.HISTORY, lambda broker: broker.candles(*astuple(wanted)))
                return [_bar_data(each) for each in bars]

    def _write(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return self._desk.writer.run(lambda connection: work(connection, *arguments), durable=False)


def _session_data(session: BrokerSession, can: Capabilities) -> dict[str, Any]:
    offset = session.clock_offset
    return {
        "state": session.state,
        "active": session.active,
        "detail": session.detail,
        "expires_at": session.expires_at,
        "clock_offset_seconds": None if offset is None else offset.total_seconds(),
        "capabilities": {
            "is_live": can.is_live,
            "order_types": sorted(can.order_types),
            "validities": sorted(can.validities),
            "products": sorted(can.products),
            "max_modifications": can.max_modifications,
            **{name: getattr(can, name) for name in _SHOWN},
        },
    }


def _bar_data(bar: Bar) -> dict[str, Any]:
    return {"at": bar.start, **{name: to_text(getattr(bar, name)) for name in _OF_BAR}}
