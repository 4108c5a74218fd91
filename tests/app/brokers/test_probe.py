"""The probe of a broker: every call is made, and the transcript shows no content."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from algosat.brokers.probe import ProbedCall, masked, probe
from algosat.domain.broker_account import BrokerHolding
from algosat.errors import BrokerNotReached
from tests.app.fake_exchange import FakeExchange, external_report
from tests.app.fakes import FakeClock

NUMBER = "241120000123456"


@pytest.fixture
def exchange(clock: FakeClock) -> FakeExchange:
    exchange = FakeExchange(clock)
    exchange.book[NUMBER] = external_report(NUMBER)
    exchange.stated_holdings = [BrokerHolding("SECRET-EQ", Decimal("4711.25"))]
    return exchange


def probed(exchange: FakeExchange, clock: FakeClock, seconds: float = 10) -> list[ProbedCall]:
    deadline = clock() + timedelta(seconds=seconds)
    return probe(lambda _kind, call: call(exchange), exchange.capabilities, clock, deadline)


def outcomes(exchange: FakeExchange, clock: FakeClock) -> dict[str, str]:
    return {each.call: each.outcome for each in probed(exchange, clock)}


def test_every_call_that_changes_nothing_is_made(exchange: FakeExchange, clock: FakeClock) -> None:
    found = outcomes(exchange, clock)
    assert found["read_book"] == found["session"] == "answered"
    assert found["history"] == "unsupported"
    assert exchange.sent == []


def test_transcript_shows_the_form_and_not_the_content(exchange: FakeExchange, clock: FakeClock) -> None:
    exchange.capabilities = replace(exchange.capabilities, has_holdings=True)
    calls = {each.call: each for each in probed(exchange, clock)}
    assert calls["holdings"].sample == {"symbol": "XXXXXX-XX", "quantity": "####.##", "average_price": None}
    assert calls["read_book"].items == 1
    assert calls["read_book"].sample["status"] == "open"
    text = json.dumps([masked(each) for each in calls.values()], default=str)
    assert NUMBER not in text
    assert "4711" not in text


@pytest.mark.parametrize(
    "error",
    [
        BrokerNotReached("GET https://broker.example/session?access_token=abcDEF1234567890xyz failed"),
        ValueError("client AB1234 abcDEF1234567890xyz is unknown"),
    ],
)
def test_message_of_a_failure_has_neither_numbers_nor_tokens(
    exchange: FakeExchange, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(exchange, "quotes", fail)
    calls = {each.call: each for each in probed(exchange, clock)}
    assert calls["quotes"].outcome == "failed"
    assert "abcDEF" not in calls["quotes"].detail
    assert "1234" not in calls["quotes"].detail
    assert calls["read_book"].outcome == "answered"


def test_calls_after_the_deadline_are_skipped(exchange: FakeExchange, clock: FakeClock) -> None:
    assert {each.outcome for each in probed(exchange, clock, 0)} == {"skipped"}
