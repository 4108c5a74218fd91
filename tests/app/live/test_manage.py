from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from algosat.config.settings import Settings
from algosat.errors import InvalidBody, NotFound
from algosat.live import definitions, manage
from algosat.live.definitions import Definition, Wanted
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.tables import strategies
from algosat.store.wakeup.unix_socket import SocketListener
from algosat.trading.desk import Desk, Desks
from tests.app.desks import other_account
from tests.app.events import PATIENCE

CAUSE = Cause("anna", "correlation-1")
GOOD: dict[str, Any] = {"symbols": ["ALPHA-EQ"], "quantity": "10"}


def define(desk: Desk, **parameters: Any) -> Definition:
    return manage.define(desk, "trend", "moving-average-crossover", {**GOOD, **parameters}, CAUSE)


def kinds_of(desk: Desk, name: str = "trend") -> list[str]:
    with desk.database.read() as connection:
        return [event.kind for event in audit.events_of(connection, name)]


def test_each_definition_adds_a_version(desk: Desk) -> None:
    assert define(desk).latest.version == 1
    assert define(desk, fast=5).latest.version == 2
    with desk.database.read() as connection:
        versions = definitions.versions(connection, "trend", most=10)
    assert [(each.version, each.parameters["fast"], each.created_by) for each in versions] == [
        (2, 5, "anna"),
        (1, 10, "anna"),
    ]


def test_definition_start_and_stop_are_audited(desk: Desk) -> None:
    define(desk)
    manage.start(desk, "trend", CAUSE)
    manage.stop(desk, "trend", CAUSE)
    assert kinds_of(desk) == ["strategy.defined", "strategy.started", "strategy.stopped"]


def test_second_start_changes_nothing(desk: Desk) -> None:
    define(desk)
    first = manage.start(desk, "trend", CAUSE)
    assert manage.start(desk, "trend", CAUSE) == first
    assert kinds_of(desk).count("strategy.started") == 1


def test_new_start_and_new_version_are_new_runs(desk: Desk) -> None:
    define(desk)
    runs = [manage.start(desk, "trend", CAUSE).run, define(desk).run]
    manage.stop(desk, "trend", CAUSE)
    assert [*runs, manage.start(desk, "trend", CAUSE).run] == ["1.1", "1.2", "2.2"]


def test_given_up_strategy_keeps_its_reason_until_it_is_started(desk: Desk) -> None:
    define(desk)
    running = manage.start(desk, "trend", CAUSE)
    desk.writer.run(
        lambda connection: definitions.give_up(connection, running, "broken", desk.clock(), CAUSE)
    )
    with desk.database.read() as connection:
        stopped = definitions.find(connection, "trend")
    assert (stopped.wanted, stopped.failure) == (Wanted.STOPPED, "broken")
    assert manage.start(desk, "trend", CAUSE).failure is None


def test_giving_up_an_earlier_start_does_not_stop_the_present_one(desk: Desk) -> None:
    define(desk)
    earlier = manage.start(desk, "trend", CAUSE)
    manage.stop(desk, "trend", CAUSE)
    manage.start(desk, "trend", CAUSE)
    desk.writer.run(
        lambda connection: definitions.give_up(connection, earlier, "broken", desk.clock(), CAUSE)
    )
    assert "strategy.given_up" not in kinds_of(desk)


@pytest.mark.parametrize("name", ["all", "account", "Trend", "1st", "a/b", "", "a" * 49])
def test_reserved_or_malformed_name_is_refused(desk: Desk, name: str) -> None:
    with pytest.raises(InvalidBody, match="cannot be called"):
        manage.define(desk, name, "moving-average-crossover", GOOD, CAUSE)


def test_strategy_of_a_release_with_one_account_trades_on_the_account_paper(desk: Desk) -> None:
    define(desk)
    desk.writer.run(lambda connection: connection.execute(update(strategies).values(account=None)))
    desks = Desks(other_account(desk), desk)
    assert manage.desk_of(desks, "trend") is desk
    assert manage.desk_for(desks, "trend", None) is desk
    assert manage.desk_for(desks, "new", None) is desks.first
    with desk.database.read() as connection:
        assert definitions.find(connection, "trend").account == desk.account
    assert define(desk).latest.version == 2
    with pytest.raises(InvalidBody, match="trades on account paper"):
        define(desks.first)


def test_unlisted_symbol_is_refused_and_nothing_is_defined(desk: Desk) -> None:
    with pytest.raises(InvalidBody, match="NOBODY-EQ"):
        define(desk, symbols=["ALPHA-EQ", "NOBODY-EQ"])
    with desk.database.read() as connection:
        assert definitions.list_all(connection) == []


def test_unknown_strategy_cannot_be_started(desk: Desk) -> None:
    with pytest.raises(NotFound):
        manage.start(desk, "nobody", CAUSE)


def test_definition_wakes_the_supervisor(desk: Desk, settings: Settings) -> None:
    listener = SocketListener(settings.algosat.runtime_directory, manage.CHANNEL)
    define(desk)
    assert listener.wait(PATIENCE) == [""]
    listener.close()
