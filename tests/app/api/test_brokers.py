"""Routes that ask the broker through the engine, with an engine that answers in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from algosat.config.settings import Settings
from algosat.store.tables import engine_requests
from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.engine.rig import build_rig, heartbeat_of
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

SESSION = {
    "account": "paper",
    "broker": "paper",
    "active": True,
    "detail": "set by the test",
    "expires_at": None,
}


@pytest.fixture
def exchange(desk: Desk, settings: Settings) -> Iterator[FakeExchange]:
    """Yield the exchange of an engine that answers requests until the test ends."""
    exchange = FakeExchange(FakeClock(desk.clock()))
    components = build_rig(desk, exchange, settings.algosat.engine).components
    heartbeat_of(components).step()
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.wait(0.005):
            components.requests.step()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield exchange
    stopping.set()
    thread.join()


def test_session_is_the_brokers_and_leaves_no_row(viewer: Client, exchange: FakeExchange, desk: Desk) -> None:
    assert viewer.get("/brokers/paper/session").json == SESSION
    exchange.active = False
    assert viewer.get("/brokers/paper/session").json == {**SESSION, "active": False}
    with desk.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(engine_requests)).scalar() == 0


@pytest.mark.usefixtures("exchange")
def test_list_of_brokers_has_every_account_with_its_session(viewer: Client) -> None:
    (broker,) = viewer.get("/brokers").json["items"]
    assert broker == {"account": "paper", "broker": "paper", "session": SESSION, "problem": None}


@pytest.mark.usefixtures("exchange")
def test_unknown_account_is_refused_with_the_known_ones(viewer: Client) -> None:
    answer = viewer.get("/brokers/nowhere/session")
    assert problem_of(answer) == (404, "not_found")
    assert "paper" in answer.json["detail"]


def test_without_an_engine_the_answer_says_when_to_ask_again(viewer: Client) -> None:
    answer = viewer.get("/brokers/paper/session")
    assert problem_of(answer) == (503, "engine_absent")
    assert int(answer.headers["Retry-After"]) > 0
    (broker,) = viewer.get("/brokers").json["items"]
    assert (broker["session"], broker["problem"]["code"]) == (None, "engine_absent")
