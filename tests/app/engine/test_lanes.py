"""The trouble of one account's broker does not delay the orders of another account."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest

from algosat.config.live import LiveSettings
from algosat.config.settings import Settings
from algosat.domain.orders import Order, Status
from algosat.engine import engine, workers
from algosat.engine.assembly import Components, assemble
from algosat.engine.engine import Engine
from algosat.store import heartbeats
from algosat.store.leader_lock import NotLeading
from algosat.store.wakeup import channels
from algosat.store.wakeup.unix_socket import SocketListener
from algosat.trading.desk import Desk
from tests.app.desks import buy, order_now, other_account
from tests.app.engine.rig import source_of
from tests.app.events import PATIENCE, wait_for
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import ENCRYPTION, FakeClock

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
        encryption=ENCRYPTION,
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
