"""Requests to the engine: what API and command line ask of a broker besides orders.

Only the engine calls brokers. A request is a row with a deadline; the engine answers it in a thread of its
own. Arguments and answers are encrypted, and the row is removed with the answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NoReturn

import orjson
from sqlalchemy import Connection

from algosat.clock import Clock
from algosat.domain.bars import Interval
from algosat.errors import (
    AlgosatError,
    BrokerError,
    BrokerInstrumentUnknown,
    BrokerNotReached,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerSilent,
    BrokerUncertain,
    BrokerUnsupported,
    EncryptedValueDamaged,
    EncryptionKeyUnknown,
    EngineAbsent,
    EngineBusy,
    InvalidQuery,
)
from algosat.security.keyring import Keyring
from algosat.store import audit, engine_requests, heartbeats
from algosat.store.audit import Cause
from algosat.store.database import Database
from algosat.store.engine_requests import EngineRequest
from algosat.store.wakeup import channels
from algosat.store.wakeup.channels import Notifier
from algosat.store.writer import Writer
from algosat.trading.place import new_id

MOST_WAITING: Final = 32  # requests about an account that the engine has not begun to answer

_POLL: Final = 0.05  # seconds

# Errors of the broker that an answer can carry, by code.
_ERRORS: Final[Mapping[str, type[BrokerError]]] = {
    each.code: each
    for each in (
        BrokerError,
        BrokerRejected,
        BrokerUnsupported,
        BrokerInstrumentUnknown,
        BrokerNotReached,
        BrokerRateLimited,
        BrokerUncertain,
        BrokerSessionExpired,
    )
}
_MOST_SPECIFIC_FIRST: Final = sorted(_ERRORS.items(), key=lambda each: -len(each[1].__mro__))
# Everything that asking the engine can raise.
ERRORS: Final[tuple[type[AlgosatError], ...]] = (EngineAbsent, EngineBusy, BrokerSilent, *_ERRORS.values())

# Waits until the request is answered or its deadline has come, and returns the request as it is then.
Wait = Callable[[EngineRequest], EngineRequest]


class RequestKind(StrEnum):
    """What can be asked."""

    SESSION = "session"
    PROBE = "probe"
    CANDLES = "candles"


@dataclass(frozen=True, slots=True)
class CandlesWanted:
    """The arguments of a request for candles."""

    symbol: str
    interval: timedelta
    since: datetime
    until: datetime

    @classmethod
    def between(cls, symbol: str, interval: Interval, since: datetime, until: datetime) -> CandlesWanted:
        """Return the arguments. Raises InvalidQuery for times in the wrong order or too far apart."""
        if until <= since:
            raise InvalidQuery("`until` must be after `since`")
        if until - since > _MOST_CANDLES * interval.length:
            raise InvalidQuery(
                f"{_MOST_CANDLES} candles of {interval} at most: set `since` and `until` closer"
            )
        return cls(symbol, interval.length, since, until)

    def to_data(self) -> dict[str, Any]:
        return {**asdict(self), "interval": self.interval.total_seconds()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> CandlesWanted:
        times = (datetime.fromisoformat(data[name]) for name in ("since", "until"))
        return cls(data["symbol"], timedelta(seconds=data["interval"]), *times)


_MOST_CANDLES: Final = 1000  # in one answer
_PATIENCE: Final = {
    RequestKind.SESSION: timedelta(seconds=5),
    RequestKind.PROBE: timedelta(seconds=25),  # several calls, one after another
    RequestKind.CANDLES: timedelta(seconds=15),
}
_AUDITED: Final = {RequestKind.PROBE: "broker.probed"}


class EngineRequests:
    """Sends requests to the engine and receives its answers."""

    def __init__(
        self, database: Database, writer: Writer, notifier: Notifier, keyring: Keyring, clock: Clock
    ) -> None:
        self._database, self._writer, self._notifier = database, writer, notifier
        self._keyring, self._clock = keyring, clock

    def ask(
        self, kind: RequestKind, account: str, arguments: Mapping[str, Any], cause: Cause, wait: Wait
    ) -> Any:
        """Return the engine's answer, as JSON data.

        Raises EngineAbsent, EngineBusy, BrokerSilent, and the errors of the broker.
        """
        return self.receive(self.send(kind, account, arguments, cause), wait)

    def send(
        self, kind: RequestKind, account: str, arguments: Mapping[str, Any], cause: Cause
    ) -> EngineRequest:
        """Store a request and wake the engine. Raises EngineAbsent and EngineBusy."""
        now = self._clock()
        request_id = new_id("q")
        request = EngineRequest(
            id=request_id,
            kind=kind.value,
            account=account,
            arguments=encrypted(self._keyring, request_id, dict(arguments)),
            created_by=cause.actor,
            correlation_id=cause.correlation_id,
            created_at=now,
            deadline=now + _PATIENCE[kind],
        )

        def unit(connection: Connection) -> None:
            self._require_engine(connection)
            if engine_requests.waiting_number(connection, account, now) >= MOST_WAITING:
                raise _busy(f"{MOST_WAITING} requests about account {account} wait for the broker already")
            engine_requests.add(connection, request)
            if kind in _AUDITED:
                audit.append(connection, now, _AUDITED[kind], account, cause, {})

        self._writer.run(unit, durable=kind in _AUDITED)
        self._notifier.notify(channels.ENGINE_REQUESTS)
        return request

    def receive(self, request: EngineRequest, wait: Wait) -> Any:
        """Wait for the answer to a request, remove the request, and return the answer as JSON data.

        Raises BrokerSilent without an answer, EngineAbsent if the engine has ended, and the broker's error.
        """
        try:
            request = wait(request)
        finally:
            self._writer.run(lambda connection: engine_requests.remove(connection, request.id), durable=False)
        if request.answer is None:
            self._fail_unanswered(request)
        try:
            answer = decrypted(self._keyring, request.id, request.answer)
        except (EncryptionKeyUnknown, EncryptedValueDamaged) as error:  # keys or release are being changed
            raise _busy(error.detail) from error
        if "error" in answer:
            raise _error_from(answer["error"])
        return answer["data"]

    def poll_until_answered(
        self, request: EngineRequest, sleep: Callable[[float], None] = time.sleep
    ) -> EngineRequest:
        """Return the request once it is answered, or as it is at its deadline. Needs no wake-up channel."""
        while request.answer is None and self._clock() < request.deadline:
            sleep(_POLL)
            with self._database.read() as connection:
                request = engine_requests.get(connection, request.id) or request
        return request

    def _require_engine(self, connection: Connection) -> None:
        last = heartbeats.read(connection, heartbeats.ENGINE)
        if last is None or last.silence(self._clock()) > heartbeats.SILENT_AFTER or not last.data["leading"]:
            raise _absent()

    def _fail_unanswered(self, request: EngineRequest) -> NoReturn:
        with self._database.read() as connection:
            self._require_engine(connection)
        if request.taken_at is None:
            raise _busy(f"the engine's threads for account {request.account} are busy with other requests")
        seconds = (request.deadline - request.created_at).total_seconds()
        raise BrokerSilent(f"the broker of account {request.account} did not answer within {seconds:g} s")


def encrypted(keyring: Keyring, request_id: str, data: Any) -> str:
    """Return arguments or the answer of a request as encrypted text."""
    return keyring.encrypt(orjson.dumps(data), _context(request_id)).decode()


def decrypted(keyring: Keyring, request_id: str, text: str) -> Any:
    """Return arguments or the answer of a request. Raises EncryptionKeyUnknown or EncryptedValueDamaged."""
    return orjson.loads(keyring.decrypt(text.encode(), _context(request_id)))


def _context(request_id: str) -> str:
    return f"engine_requests:{request_id}"


def answer_data(data: Any) -> dict[str, Any]:
    """Return the answer to a request in the form that `receive` reads."""
    return {"data": data}


def answer_error(error: BrokerError) -> dict[str, Any]:
    """Return the answer to a request that has failed."""
    code = next(code for code, each in _MOST_SPECIFIC_FIRST if isinstance(error, each))
    return {"error": {"code": code, "detail": error.detail, "retry_after": error.headers.get("Retry-After")}}


def _error_from(data: Mapping[str, Any]) -> BrokerError:
    error = _ERRORS[data["code"]](data["detail"])
    if data["retry_after"] is not None:
        error.headers["Retry-After"] = data["retry_after"]
    return error


def _absent() -> EngineAbsent:
    return EngineAbsent(
        "no engine runs, and only the engine asks the broker: systemctl status algosat-engine"
    )


def _busy(detail: str) -> EngineBusy:
    return EngineBusy(f"{detail}; try again shortly")
