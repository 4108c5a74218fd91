"""Requests to the engine: what other processes ask of a broker, and the engine's answers.

A row lives for seconds: the process that asked removes it with the answer. Arguments and answer are encrypted
by the caller. Nothing here waits for the disk: a power cut ends the request anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from algosat.store.prepared import Prepared
from algosat.store.tables import engine_requests


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One request."""

    id: str
    kind: str
    account: str
    arguments: str  # encrypted
    created_by: str
    correlation_id: str
    created_at: datetime
    deadline: datetime
    taken_at: datetime | None = None  # when the engine began to answer it
    answer: str | None = None  # encrypted


_OF_ID = engine_requests.c.id == bindparam("of_id")
_ADD = Prepared(insert(engine_requests).inline(), EngineRequest.__slots__)
_GET = Prepared(select(engine_requests).where(_OF_ID))
_OF_ACCOUNT = engine_requests.c.account == bindparam("account")
_IS_WAITING = engine_requests.c.taken_at.is_(None)
_IN_TIME = engine_requests.c.deadline > bindparam("now")
_WAITING_NUMBER = Prepared(
    select(func.count()).select_from(engine_requests).where(_OF_ACCOUNT, _IS_WAITING, _IN_TIME)
)
_DUE = Prepared(
    select(engine_requests).where(_OF_ACCOUNT, _IS_WAITING | ~_IN_TIME).order_by(engine_requests.c.created_at)
)
_TAKE = Prepared(update(engine_requests).where(_OF_ID, _IS_WAITING), ("taken_at",))
_ANSWER = Prepared(update(engine_requests).where(_OF_ID), ("answer",))
_REMOVE = Prepared(delete(engine_requests).where(_OF_ID))


def add(connection: Connection, request: EngineRequest) -> None:
    _ADD.run(connection, {name: getattr(request, name) for name in EngineRequest.__slots__})


def get(connection: Connection, request_id: str) -> EngineRequest | None:
    """Return a request; None if it was removed."""
    row = _GET.first(connection, of_id=request_id)
    return None if row is None else EngineRequest(*row)


def waiting_number(connection: Connection, account: str, now: datetime) -> int:
    """Return how many requests about the account the engine has not begun to answer."""
    return cast(int, _WAITING_NUMBER.scalar(connection, account=account, now=now))


def due(connection: Connection, account: str, now: datetime) -> Sequence[EngineRequest]:
    """Return the requests that the engine has not begun to answer, and the expired ones, oldest first."""
    return [EngineRequest(*row) for row in _DUE.each(connection, account=account, now=now)]


def take(connection: Connection, request_id: str, now: datetime) -> bool:
    """Mark a request as begun. Returns False if it was removed, or begun before."""
    return _TAKE.run(connection, {"of_id": request_id, "taken_at": now}) > 0


def answer(connection: Connection, request_id: str, encrypted: str) -> bool:
    """Store the answer. Returns False if nobody waits for it any more."""
    return _ANSWER.run(connection, {"of_id": request_id, "answer": encrypted}) > 0


def remove(connection: Connection, request_id: str) -> None:
    _REMOVE.run(connection, {"of_id": request_id})
