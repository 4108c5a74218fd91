"""Routes that ask the broker through the engine, with an engine that answers in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from algosat.api.context import Services
from algosat.config.settings import Settings
from algosat.domain.bars import Bar
from algosat.security import credentials
from algosat.security.credentials import BrokerLogin
from algosat.store.tables import engine_requests
from algosat.trading.desk import Desk
from tests.app.client import Client, problem_of
from tests.app.desks import SHARE
from tests.app.engine.rig import build_rig, heartbeat_of
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

SINCE = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
RANGE = "since=2026-11-20T05:00:00Z&until=2026-11-20T05:02:00Z"


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


def session_of(client: Client) -> dict[str, Any]:
    answer = client.get("/brokers/paper/session")
    assert answer.status_code == 200, answer.text
    session: dict[str, Any] = answer.json
    return session


def test_session_is_the_brokers_and_leaves_no_row(viewer: Client, exchange: FakeExchange, desk: Desk) -> None:
    session = session_of(viewer)
    assert (session["account"], session["state"], session["active"]) == ("paper", "active", True)
    assert session["capabilities"]["is_live"] is False
    exchange.active = False
    assert session_of(viewer)["state"] == "login_required"
    with desk.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(engine_requests)).scalar() == 0


@pytest.mark.usefixtures("exchange")
def test_list_of_brokers_has_every_account_with_its_session(viewer: Client) -> None:
    (broker,) = viewer.get("/brokers").json["items"]
    expected = {"account": "paper", "broker": "paper", "session": session_of(viewer), "problem": None}
    assert broker == expected


@pytest.mark.usefixtures("exchange")
def test_probe_is_for_admins_and_shows_every_call(trader: Client, admin: Client) -> None:
    assert problem_of(trader.post("/brokers/paper/probe")) == (403, "forbidden")
    calls = {each["call"]: each for each in admin.post("/brokers/paper/probe").json["items"]}
    assert calls["read_book"]["outcome"] == "answered"
    assert calls["session"]["sample"]["detail"] == "xxx xx xxx xxxx"


def test_candles_are_exact_and_oldest_first(
    viewer: Client, exchange: FakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    price, volume = Decimal("100.05"), Decimal("0.5")
    starts = (SINCE, SINCE + timedelta(minutes=1))
    bars = [Bar(SHARE, at, 60, price, Decimal(101), Decimal("99.95"), price, volume) for at in starts]
    monkeypatch.setattr(exchange, "candles", lambda *_: bars)
    first, second = viewer.get(f"/candles/{SHARE}?{RANGE}").json["items"]
    assert first == {
        "at": "2026-11-20T05:00:00Z",
        "open": "100.05",
        "high": "101",
        "low": "99.95",
        "close": "100.05",
        "volume": "0.5",
    }
    assert second["at"] == "2026-11-20T05:01:00Z"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (f"NOWHERE?{RANGE}", (404, "not_found")),
        (f"{SHARE}?{RANGE}&account=nowhere", (404, "not_found")),
        (SHARE, (400, "invalid_query")),
        (f"{SHARE}?since=2026-11-20T05:00:00Z&until=2026-11-20T05:00:00Z", (400, "invalid_query")),
        (f"{SHARE}?since=2026-11-19T05:00:00Z&until=2026-11-20T05:00:00Z", (400, "invalid_query")),
        (f"{SHARE}?{RANGE}&interval=2m", (400, "invalid_query")),
        (f"{SHARE}?{RANGE}", (422, "broker_unsupported")),
    ],
)
@pytest.mark.usefixtures("exchange")
def test_candles_that_cannot_be_had_are_refused(viewer: Client, path: str, problem: tuple[int, str]) -> None:
    assert problem_of(viewer.get(f"/candles/{path}")) == problem


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


CREDENTIALS = {
    "fields": [
        {"name": "api_key", "value": "canary-4711-of-the-broker"},
        {"name": "token", "value": "canary-0815-of-today", "expires_at": "2099-01-01T00:00:00Z"},
    ]
}


def test_credentials_are_stored_encrypted_and_never_returned(admin: Client, services: Services) -> None:
    answer = admin.put("/brokers/paper/credentials", json=CREDENTIALS)
    assert answer.status_code == 200
    assert [(it["name"], it["expires_at"]) for it in answer.json["fields"]] == [
        ("api_key", None),
        ("token", "2099-01-01T00:00:00Z"),
    ]
    assert {it["key"] for it in answer.json["fields"]} == {services.keyring.fingerprint()}
    assert "canary" not in answer.text
    assert "canary" not in admin.get("/audit").text
    with services.database.read() as connection:
        login = BrokerLogin("paper", "paper")
        stored = credentials.values(connection, services.keyring, login, services.clock())
    assert stored == {"api_key": "canary-4711-of-the-broker", "token": "canary-0815-of-today"}
    assert admin.put("/brokers/paper/credentials", json={"fields": []}).json["fields"] == []


@pytest.mark.parametrize(
    "field",
    [
        {"name": "", "value": "canary"},
        {"name": "a b", "value": "canary"},
        {"name": "a\u0000", "value": "canary"},
        {"name": "token", "value": ""},
        {"name": "token", "value": ["canary"]},
        {"name": "token", "value": "canary" * 2000},
        {"name": "token", "value": "canary", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "token", "value": "canary", "expires_at": "2099-01-01T00:00:00"},
        {"name": "token", "value": "canary", "secret": "canary"},
        {"name": "api_key", "value": "canary"},
    ],
)
def test_invalid_credentials_change_nothing_and_are_not_repeated(
    admin: Client, services: Services, field: dict[str, Any]
) -> None:
    admin.put("/brokers/paper/credentials", json=CREDENTIALS)
    body = {"fields": [{"name": "api_key", "value": "another"}, field]}
    answer = admin.put("/brokers/paper/credentials", json=body)
    assert problem_of(answer) == (422, "invalid_body")
    assert "canary" not in answer.text
    with services.database.read() as connection:
        assert len(credentials.listed(connection, services.clock())) == 2


def test_credentials_of_an_unknown_account_are_not_found(admin: Client, trader: Client) -> None:
    assert problem_of(admin.put("/brokers/nobody/credentials", json=CREDENTIALS)) == (404, "not_found")
    assert problem_of(trader.put("/brokers/paper/credentials", json=CREDENTIALS)) == (403, "forbidden")
