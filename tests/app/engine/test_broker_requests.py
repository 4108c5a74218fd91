"""Requests to the broker through the engine: answers, deadlines, the bound of the queue, and secrecy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import select

from algosat.brokers.base import CallKind, Period, Quota
from algosat.config.settings import Settings
from algosat.domain.bars import Bar
from algosat.domain.orders import Status
from algosat.engine import workers
from algosat.engine.assembly import Components
from algosat.engine.broker_requests import BrokerRequests
from algosat.errors import (
    AlgosatError,
    BrokerError,
    BrokerNotReached,
    BrokerRateLimited,
    BrokerSessionExpired,
    BrokerSilent,
    BrokerUncertain,
    BrokerUnsupported,
    EngineAbsent,
    EngineBusy,
)
from algosat.security.keyring import Keyring
from algosat.store import audit, engine_requests
from algosat.store.engine_requests import EngineRequest
from algosat.store.leader_lock import NotLeading
from algosat.store.tables import engine_requests as table
from algosat.trading.desk import Desk
from algosat.trading.engine_requests import (
    MOST_WAITING,
    CandlesWanted,
    EngineRequests,
    RequestKind,
    decrypted,
)
from tests.app.builders import FERNET_KEY
from tests.app.desks import CAUSE, buy
from tests.app.engine.rig import EngineRig, build_rig, heartbeat_of
from tests.app.events import PATIENCE, wait_for
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import KEYRING, FakeClock

SINCE = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
WANTED = CandlesWanted("ALPHA-EQ", timedelta(minutes=1), SINCE, SINCE + timedelta(minutes=5))


@pytest.fixture
def requests(desk: Desk) -> EngineRequests:
    return EngineRequests(desk.database, desk.writer, desk.notifier, KEYRING, desk.clock)


@pytest.fixture
def running(rig: EngineRig) -> EngineRig:
    """Return an engine that has written its heartbeat."""
    heartbeat_of(rig.components).step()
    return rig


def rows(desk: Desk) -> list[Any]:
    with desk.database.read() as connection:
        return list(connection.execute(select(table)))


def ask(
    requests: EngineRequests,
    desk: Desk,
    step: Callable[[], None],
    kind: RequestKind = RequestKind.SESSION,
    **arguments: Any,
) -> Any:
    """Ask the broker, and let the engine take one step before the answer is read."""

    def wait(request: EngineRequest) -> EngineRequest:
        step()
        with desk.database.read() as connection:
            return engine_requests.get(connection, request.id) or request

    return requests.ask(kind, desk.account, arguments, CAUSE, wait)


def test_answer_is_the_brokers_and_the_row_is_removed_when_it_is_read(
    desk: Desk, running: EngineRig, requests: EngineRequests
) -> None:
    answer = ask(requests, desk, running.components.requests.step)
    assert (answer["state"], answer["detail"]) == ("active", "set by the test")
    assert answer["capabilities"]["is_live"] is False
    assert rows(desk) == []


def test_candles_are_asked_for_as_wanted_and_come_back_exactly(
    desk: Desk, running: EngineRig, requests: EngineRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    price = Decimal("99.95")
    bar = Bar("ALPHA-EQ", SINCE, 60, price, price, price, price, Decimal("0.00012345"))

    def candles(*arguments: Any) -> list[Bar]:
        asked.append(arguments)
        return [bar]

    monkeypatch.setattr(running.exchange, "candles", candles)
    step = running.components.requests.step
    (found,) = ask(requests, desk, step, RequestKind.CANDLES, **WANTED.to_data())
    assert asked == [(WANTED.symbol, WANTED.interval, WANTED.since, WANTED.until)]
    assert (found["low"], found["volume"]) == ("99.95", "0.00012345")
    assert datetime.fromisoformat(found["at"]) == SINCE


def test_probe_is_recorded_in_the_audit_trail(
    desk: Desk, running: EngineRig, requests: EngineRequests
) -> None:
    transcript = ask(requests, desk, running.components.requests.step, RequestKind.PROBE)
    assert {each["call"]: each["outcome"] for each in transcript}["read_book"] == "answered"
    with desk.database.read() as connection:
        assert [each.kind for each in audit.events_of(connection, desk.account)][-1] == "broker.probed"


def test_arguments_and_answer_are_encrypted_in_the_store(
    desk: Desk, running: EngineRig, requests: EngineRequests
) -> None:
    stored: list[Any] = []

    def step() -> None:
        running.components.requests.step()
        stored.extend(rows(desk))

    ask(requests, desk, step, secret="pin-4711")
    (row,) = stored
    assert row.taken_at is not None
    assert "pin-4711" not in str(row)
    assert "set by the test" not in str(row)
    assert decrypted(KEYRING, row.id, row.arguments) == {"secret": "pin-4711"}


@pytest.mark.parametrize(
    ("error", "raised", "status"),
    [
        (BrokerNotReached("down"), BrokerNotReached, 503),
        (BrokerSessionExpired("log in"), BrokerSessionExpired, 503),
        (BrokerRateLimited("slow down", retry_after=timedelta(seconds=90)), BrokerRateLimited, 503),
        (BrokerUncertain("timed out"), BrokerUncertain, 504),
        (BrokerUnsupported("no"), BrokerUnsupported, 422),
        (BrokerError("what it said"), BrokerError, 502),
        (ZeroDivisionError("oops"), BrokerUncertain, 504),
    ],
)
def test_error_of_the_broker_is_raised_where_the_request_was_made(
    running: EngineRig,
    desk: Desk,
    requests: EngineRequests,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    raised: type[AlgosatError],
    status: int,
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(running.exchange, "candles", fail)
    with pytest.raises(raised) as found:
        ask(requests, desk, running.components.requests.step, RequestKind.CANDLES, **WANTED.to_data())
    assert (type(found.value), found.value.status) == (raised, status)
    seconds = "90" if raised is BrokerRateLimited else str(raised.retry_seconds)
    expected = {"Retry-After": seconds} if status == 503 else {}
    assert found.value.headers == expected
    assert rows(desk) == []


def test_without_an_engine_nothing_is_stored(desk: Desk, requests: EngineRequests) -> None:
    with pytest.raises(EngineAbsent) as found:
        ask(requests, desk, lambda: None)
    assert found.value.headers["Retry-After"]
    assert rows(desk) == []


def test_engine_that_ended_meanwhile_is_named(
    running: EngineRig, desk: Desk, requests: EngineRequests
) -> None:
    def end() -> None:
        heartbeat_of(running.components).write(leading=False)

    with pytest.raises(EngineAbsent):
        ask(requests, desk, end)


def test_deadline_that_passes_before_the_answer_is_a_timeout_and_leaves_no_row(
    running: EngineRig, desk: Desk, requests: EngineRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_requests, "answer", lambda *_: False)  # the answer comes too late
    with pytest.raises(BrokerSilent, match="did not answer within 5 s"):
        ask(requests, desk, running.components.requests.step)
    assert rows(desk) == []


def test_while_the_keys_are_rotated_the_answer_says_when_to_ask_again(
    running: EngineRig, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = Keyring([SecretStr(Fernet.generate_key().decode()), SecretStr(FERNET_KEY)])
    requests = EngineRequests(desk.database, desk.writer, desk.notifier, KEYRING, desk.clock)
    monkeypatch.setattr(running.components.requests, "_keyring", newer)
    with pytest.raises(EngineBusy, match="restart all services") as found:
        ask(requests, desk, running.components.requests.step)
    assert found.value.headers["Retry-After"]
    assert rows(desk) == []


def test_expired_request_is_not_begun_and_is_removed_later(
    running: EngineRig, desk: Desk, requests: EngineRequests, clock: FakeClock
) -> None:
    requests.send(RequestKind.SESSION, desk.account, {}, CAUSE)
    clock.forward(seconds=6)
    running.components.requests.step()
    assert [row.taken_at for row in rows(desk)] == [None]
    clock.forward(seconds=10)
    running.components.requests.step()
    assert rows(desk) == []


def test_request_is_begun_once_whatever_happens_to_the_engine(
    running: EngineRig, desk: Desk, requests: EngineRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests.send(RequestKind.SESSION, desk.account, {}, CAUSE)
    monkeypatch.setattr(BrokerRequests, "_answer", lambda *_: None)  # killed before it answers
    running.components.requests.step()
    monkeypatch.undo()
    running.components.requests.step()
    assert [row.answer for row in rows(desk)] == [None]


def test_requests_beyond_the_bound_are_refused(
    running: EngineRig, desk: Desk, requests: EngineRequests, clock: FakeClock
) -> None:
    for _ in range(MOST_WAITING):
        requests.send(RequestKind.SESSION, desk.account, {}, CAUSE)
    with pytest.raises(EngineBusy):
        requests.send(RequestKind.SESSION, desk.account, {}, CAUSE)
    running.components.requests.step()
    requests.send(RequestKind.SESSION, desk.account, {}, CAUSE)
    assert len(rows(desk)) == MOST_WAITING + 1


def test_engine_that_lost_the_lead_begins_nothing(
    desk: Desk, exchange: FakeExchange, settings: Settings, running: EngineRig, requests: EngineRequests
) -> None:
    def fence(_connection: Any) -> None:
        raise NotLeading("another one leads")

    requests.send(RequestKind.SESSION, desk.account, {}, CAUSE)
    late = replace(running.components, requests=_with_fence(running.components, fence))
    with pytest.raises(NotLeading):
        late.requests.step()
    assert [row.taken_at for row in rows(desk)] == [None]


def _with_fence(components: Components, fence: Any) -> BrokerRequests:
    pool = workers.request_workers(components.desk.errors)
    return BrokerRequests(components.desk, components.guarded_broker, KEYRING, pool, fence)


@pytest.fixture
def hanging(exchange: FakeExchange, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let calls for candles hang until the test sets the event."""
    released = threading.Event()

    def hang(*_: Any) -> list[Bar]:
        released.wait(PATIENCE)
        return []

    monkeypatch.setattr(exchange, "candles", hang)
    yield released
    released.set()


def test_calls_that_hang_delay_neither_orders_nor_the_end_of_the_engine(
    running: EngineRig, desk: Desk, requests: EngineRequests, hanging: threading.Event
) -> None:
    pool = workers.request_workers(desk.errors)
    answerer = BrokerRequests(desk, running.components.guarded_broker, KEYRING, pool, lambda _: None)
    asked = [requests.send(RequestKind.CANDLES, desk.account, WANTED.to_data(), CAUSE) for _ in range(6)]
    answerer.step()
    wait_for(lambda: pool.free() == 0)
    answerer.step()
    assert sorted(row.taken_at is None for row in rows(desk)) == [False] * 4 + [True] * 2  # none in memory
    assert running.send(buy(desk)).status is Status.OPEN
    pool.close()  # returns at once
    hanging.set()
    wait_for(lambda: pool.free() == 4)
    answerer.step()
    wait_for(lambda: all(row.answer is not None for row in rows(desk)))
    assert [requests.receive(each, requests.poll_until_answered) for each in asked] == [[]] * 6


def test_failed_requests_do_not_open_the_circuit_for_orders(
    running: EngineRig, desk: Desk, requests: EngineRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> list[Bar]:
        raise BrokerNotReached("down")

    monkeypatch.setattr(running.exchange, "candles", fail)
    for _ in range(10):
        with pytest.raises(BrokerNotReached, match="down"):
            ask(requests, desk, running.components.requests.step, RequestKind.CANDLES, **WANTED.to_data())
    assert running.send(buy(desk)).status is Status.OPEN


def test_requests_beyond_the_brokers_quota_are_refused_and_orders_are_not(
    desk: Desk, exchange: FakeExchange, settings: Settings, requests: EngineRequests
) -> None:
    exchange.quotas = (Quota(1, Period.DAY, frozenset({CallKind.HISTORY})),)
    rig = build_rig(desk, exchange, settings.algosat.engine)
    heartbeat_of(rig.components).step()
    step = rig.components.requests.step
    with pytest.raises(BrokerUnsupported):
        ask(requests, desk, step, RequestKind.CANDLES, **WANTED.to_data())
    with pytest.raises(BrokerRateLimited):
        ask(requests, desk, step, RequestKind.CANDLES, **WANTED.to_data())
    assert rig.send(buy(desk)).status is Status.OPEN
