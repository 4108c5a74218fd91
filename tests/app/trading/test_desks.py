from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from algosat.config.settings import Settings
from algosat.domain.calendar import AlwaysOpen
from algosat.errors import NotFound
from algosat.store.database import Database
from algosat.store.wakeup.unix_socket import SocketNotifier
from algosat.store.writer import Writer
from algosat.trading import desk as desks
from algosat.trading.desk import Desks
from algosat.trading.live_calendar import LiveCalendar
from tests.app.builders import account_data


@pytest.fixture
def two(settings: Settings, database: Database, writer: Writer) -> Iterator[Desks]:
    """Yield the desks of an account in rupees and of one in dollars that trades round the clock."""
    (first,) = settings.algosat.accounts
    data = account_data(
        name="dollars", currency="USD", charges__brokerage="none", limits={"max_open_orders": 3}
    )
    second = type(first).model_validate(data)
    algosat = settings.algosat.model_copy(
        update={"accounts": (first.model_copy(update={"calendar": "exchange"}), second)}
    )
    with closing(SocketNotifier(algosat.runtime_directory)) as notifier:
        yield desks.build_all(settings.model_copy(update={"algosat": algosat}), database, writer, notifier)


def test_first_account_is_the_default(two: Desks) -> None:
    assert two.of(None) is two.first
    assert [desk.account for desk in two] == ["paper", "dollars"]


def test_unknown_account_is_refused_with_the_names_of_all(two: Desks) -> None:
    with pytest.raises(NotFound, match="there are paper, dollars"):
        two.of("yen")


def test_account_has_its_own_currency_calendar_and_limits(two: Desks) -> None:
    rupees, dollars = two
    assert (rupees.currency, dollars.currency) == ("INR", "USD")
    assert isinstance(rupees.calendar, LiveCalendar)
    assert isinstance(dollars.calendar, AlwaysOpen)
    assert dollars.defaults == replace(rupees.defaults, max_open_orders=3)
