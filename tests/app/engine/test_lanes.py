"""The trouble of one account's broker does not delay the orders of another account."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from algosat.config.live import LiveSettings
from algosat.config.settings import Settings
from algosat.domain.orders import Order, Status
from algosat.engine import engine, workers
from algosat.engine.assembly import Components, assemble
from algosat.engine.budget import Budget
from algosat.engine.engine import Engine
from algosat.engine.guarded_broker import BrokerSource, GuardedBroker
from algosat.engine.heartbeat import Rounds
from algosat.store import heartbeats
from algosat.store.leader_lock import NotLeading
from algosat.store.wakeup import channels
from algosat.store.wakeup.unix_socket import SocketListener
from algosat.trading.desk import Desk
from tests.app.desks import buy, order_now, other_account
from tests.app.engine.rig import build_rig, source_of
from tests.app.events import PATIENCE, wait_for
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import KEYRING, FakeClock

pytestmark = pytest.mark.sqlite


class TroubledExchange(FakeExchange):
    """An exchange whose answers to some requests are delayed, or replaced by an error."""

    account = "dollars"

    def __init__(self, clock: FakeClock, trouble: Callable[[str], None]) -> None:
        super().__init__(clock)
        self.before = trouble
        self.trouble = trouble

    def start(self, *listeners: Any) -> None:
        self.trouble("start")
        super().start(*listeners)

    def session(self) -> Any:
        self.trouble("session")
        return super().session()

    def instruments(self) -> Any:
        self.trouble("instruments")
        return super().instruments()


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Yield an event that ends the hanging calls; the test's end sets it."""
    event = threading.Event()
    yield event
    event.set()


def components_of(desk: Desk, exchange: FakeExchange, settings: Settings, fence: Any) -> Components:
    return assemble(
        desk,
        source_of(exchange),
        settings.algosat.engine,
        order_workers=workers.order_workers(desk.errors),
        cancel_workers=workers.cancel_workers(desk.errors),
        request_workers=workers.request_workers(desk.errors),
        keyring=KEYRING,
        key_rotation_days=90,
        fence=fence,
    )


@contextmanager
def running(
    settings: Settings,
    desks: Sequence[Desk],
    exchanges: Sequence[FakeExchange],
    fence: Any = lambda _connection: None,
) -> Iterator[threading.Thread]:
    """Run an engine with a lane for each desk until the block is left."""
    directory, stopping = settings.algosat.runtime_directory, threading.Event()
    with ExitStack() as opened:
        listeners = [
            opened.enter_context(closing(SocketListener(directory, each.engine_channel))) for each in desks
        ]
        requests = opened.enter_context(closing(SocketListener(directory, channels.ENGINE_REQUESTS)))
        parts = [
            components_of(desk, exchange, settings, fence)
            for desk, exchange in zip(desks, exchanges, strict=True)
        ]
        of_all = Engine(parts, listeners, requests, LiveSettings(settings, list), stopping)

        def run() -> None:
            with suppress(NotLeading):
                of_all.run()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield thread
        finally:
            stopping.set()
            thread.join(PATIENCE)


def last_data(desk: Desk) -> dict[str, Any]:
    """Return what the engine's last heartbeat says of the first account."""
    with desk.database.read() as connection:
        last = heartbeats.read(connection, heartbeats.ENGINE)
    return {} if last is None else last.data


def is_active(desk: Desk, account: str) -> bool:
    """Return whether the engine's heartbeat calls the broker of the account active."""
    with desk.database.read() as connection:
        last = heartbeats.read(connection, heartbeats.ENGINE)
    return last is not None and last.data["accounts"][account]["broker"]["active"]


def is_open(desk: Desk, order: Order) -> bool:
    return order_now(desk, order).status is Status.OPEN


@pytest.fixture
def settings(settings: Settings) -> Settings:
    rules = settings.algosat.engine.model_copy(update={"poll_seconds": 0.02})
    return settings.model_copy(update={"algosat": settings.algosat.model_copy(update={"engine": rules})})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits of the engine's threads."""
    monkeypatch.setattr(engine, "_CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(engine, "_OFTEN", 0.02)
    monkeypatch.setattr(engine, "_SELDOM", 0.02)
    monkeypatch.setattr(engine, "_EMERGENCY_EVERY", 0.02)
    monkeypatch.setattr(engine, "_CONNECT_EVERY", 0.02)
    monkeypatch.setattr(engine, "FLUSH_EVERY", timedelta(milliseconds=20))


@pytest.mark.parametrize("request_name", ["start", "session", "reports", "place", "instruments"])
@pytest.mark.parametrize("hangs_first", [True, False])
def test_broker_that_hangs_delays_no_other_account(
    desk: Desk,
    clock: FakeClock,
    settings: Settings,
    released: threading.Event,
    request_name: str,
    hangs_first: bool,
) -> None:
    hung = threading.Event()

    def trouble(name: str) -> None:
        if name == request_name:
            hung.set()
            released.wait(PATIENCE)

    other = other_account(desk)
    hanging, healthy = TroubledExchange(clock, trouble), FakeExchange(clock)
    pairs = [(other, hanging), (desk, healthy)]
    ordered = pairs if hangs_first else pairs[::-1]
    with running(settings, [each for each, _ in ordered], [each for _, each in ordered]):
        waiting = buy(other)
        wait_for(hung.is_set)
        for quantity in ("1", "2"):
            order = buy(desk, quantity)
            wait_for(lambda: is_open(desk, order))  # noqa: B023 - called within the round
        if request_name == "instruments":
            wait_for(lambda: is_open(other, waiting))
        else:
            assert order_now(other, waiting).status in (Status.CREATED, Status.SUBMITTING)
        wait_for(lambda: is_active(desk, "paper"))
        if request_name in ("start", "session"):
            assert not is_active(desk, "dollars")
        released.set()
        wait_for(lambda: order_now(other, waiting).status in (Status.OPEN, Status.UNKNOWN))


def test_broker_that_fails_to_start_is_tried_again(desk: Desk, clock: FakeClock, settings: Settings) -> None:
    failures = [RuntimeError("an adapter's mistake")] * 3

    def trouble(name: str) -> None:
        if name == "start" and failures:
            raise failures.pop()

    other = other_account(desk)
    with running(settings, [other, desk], [TroubledExchange(clock, trouble), FakeExchange(clock)]):
        order, late = buy(desk), buy(other)
        wait_for(lambda: is_open(desk, order))
        wait_for(lambda: is_open(other, late))
    assert failures == []


def test_broker_that_fails_in_every_request_ends_no_lane(
    desk: Desk, clock: FakeClock, settings: Settings
) -> None:
    def trouble(_name: str) -> None:
        raise KeyError("an adapter's mistake")

    other = other_account(desk)
    with running(settings, [desk, other], [FakeExchange(clock), TroubledExchange(clock, trouble)]) as engine:
        for quantity in ("1", "2", "3"):
            order = buy(desk, quantity)
            wait_for(lambda: is_open(desk, order))  # noqa: B023 - called within the round
        assert engine.is_alive()


DUTIES = {
    "quotes": ("quotes", "flush"),
    "instruments": ("instruments", "step"),
    "reconcile": ("reconciler", "step"),
    "books": ("book_check", "step"),
    "feeds": ("feeds", "step"),
    "exits": ("duties", "advance_exits"),
    "losses": ("duties", "watch_losses"),
    "closing": ("duties", "close"),
    "settlement": ("duties", "settle"),
    "conversions": ("conversions", "step"),
    "expiry": ("duties", "expire"),
    "alerts": ("duties", "renew_alerts"),
    "sweep": ("sweeper", "step"),
    "emergency": ("emergency_cancels", "step"),
}


class RecordedRounds(Rounds):
    """Counts the completed rounds of each duty."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.numbers: Counter[str] = Counter()

    def end(self, duty: str, *, completed: bool) -> None:
        super().end(duty, completed=completed)
        self.numbers[duty] += completed


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> RecordedRounds:
    """Return the rounds of the only lane."""
    recorded = RecordedRounds(clock)
    monkeypatch.setattr("algosat.engine.heartbeat.Rounds", lambda _clock: recorded)
    return recorded


def go_on(rounds: RecordedRounds, without: str) -> None:
    """Wait until every other duty has completed more rounds."""
    before = rounds.numbers.copy()
    others = {"router", "broker", "reports", *DUTIES} - {without}
    wait_for(lambda: all(rounds.numbers[each] > before[each] + 1 for each in others))


@pytest.mark.parametrize("name", DUTIES)
def test_duty_that_hangs_delays_no_other_and_ends_the_engine_by_the_watchdog(
    desk: Desk,
    clock: FakeClock,
    settings: Settings,
    released: threading.Event,
    rounds: RecordedRounds,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    part, method = DUTIES[name]
    hung, signals = threading.Event(), list[str]()
    cls = type(getattr(build_rig(desk, FakeExchange(clock), settings.algosat.engine).components, part))
    real = getattr(cls, method)

    def hang(self: Any) -> None:
        real(self)
        if rounds.numbers[name] > 1:
            hung.set()
            released.wait(PATIENCE)

    monkeypatch.setattr(cls, method, hang)
    monkeypatch.setattr(engine, "notify", signals.append)
    with running(settings, [desk], [FakeExchange(clock)]):
        wait_for(hung.is_set)
        go_on(rounds, without=name)
        wait_for(lambda: "WATCHDOG=1" in signals)
        monkeypatch.setattr(engine, "_HUNG_SECONDS", 0)
        wait_for(lambda: rounds.hung(0, lambda _thread: False) != [])
        order = buy(desk)
        wait_for(lambda: is_open(desk, order))
        released.set()


def test_duty_that_waits_for_its_broker_does_not_end_the_engine(
    desk: Desk, clock: FakeClock, settings: Settings, released: threading.Event, rounds: RecordedRounds
) -> None:
    """A new engine would wait for the same broker, and the other accounts would wait for the new engine."""
    hung = threading.Event()

    def trouble(name: str) -> None:
        if name == "positions":
            hung.set()
            released.wait(PATIENCE)

    exchange = TroubledExchange(clock, trouble)
    exchange.capabilities = replace(exchange.capabilities, has_positions=True)
    broker = source_of(exchange)
    guarded = GuardedBroker(broker, clock, Budget(()))
    guarded.build()

    def read() -> None:
        rounds.begin("books")
        guarded.positions()

    threading.Thread(target=read, daemon=True).start()
    wait_for(hung.is_set)
    assert rounds.hung(-1, lambda _thread: False) == ["books"]
    assert rounds.hung(-1, guarded.holds) == []


def test_adapter_that_cannot_be_built_stops_no_other_account(
    desk: Desk, clock: FakeClock, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [RuntimeError("an adapter's mistake")] * 3
    other, exchange = other_account(desk), TroubledExchange(clock, lambda _name: None)

    def build() -> FakeExchange:
        if failures:
            raise failures.pop()
        return exchange

    real = source_of

    def source(broker: Any) -> BrokerSource:
        known = real(broker)
        return replace(known, build=build) if broker is exchange else known

    monkeypatch.setattr("tests.app.engine.test_lanes.source_of", source)
    with running(settings, [other, desk], [exchange, FakeExchange(clock)]):
        order, late = buy(desk), buy(other)
        wait_for(lambda: is_open(desk, order))
        wait_for(lambda: is_open(other, late))
    assert failures == []


def test_heartbeat_says_when_each_duty_last_completed_a_round(
    desk: Desk, clock: FakeClock, settings: Settings, rounds: RecordedRounds
) -> None:
    def ended() -> dict[str, datetime]:
        rounds = last_data(desk).get("rounds", {})
        return {duty: datetime.fromisoformat(at) for duty, at in rounds.items()}

    with running(settings, [desk], [FakeExchange(clock)]):
        go_on(rounds, without="")
        for _ in range(2):  # the heartbeat is written each second
            clock.forward(seconds=1)
            go_on(rounds, without="")
        wait_for(lambda: ended() != {} and min(ended().values()) >= clock() - timedelta(seconds=1))
        found = last_data(desk)
    assert found["rounds"].keys() == {"router", "broker", "reports", *DUTIES}
    assert set(found["breakers"].values()) == {"closed"}
    assert found["budget"]["left"].keys() == {"second", "minute", "day"}
    assert found["oldest_unsent_at"] is None


def test_lost_lead_ends_every_lane(desk: Desk, clock: FakeClock, settings: Settings) -> None:
    lost = threading.Event()

    def fence(_connection: Any) -> None:
        if lost.is_set():
            raise NotLeading("another one leads")

    other = other_account(desk)
    exchanges = [FakeExchange(clock), TroubledExchange(clock, lambda _name: None)]
    with running(settings, [desk, other], exchanges, fence) as engine:
        order = buy(other)
        wait_for(lambda: is_open(other, order))
        lost.set()
        buy(desk, "2")
        wait_for(lambda: not engine.is_alive())
