"""A strategy trades on the account on which it was defined."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from algosat.errors import InvalidBody, NotFound
from algosat.live import definitions, manage
from algosat.store.tables import strategies
from algosat.trading.desk import Desk, Desks
from tests.app.desks import CAUSE, SHARE, other_account

PARAMETERS = {"symbols": [SHARE], "quantity": 1}


@pytest.fixture
def desks(desk: Desk) -> Desks:
    return Desks(replace(desk, is_only=False), other_account(desk))


def define(desk: Desk, name: str = "trend") -> definitions.Definition:
    return manage.define(desk, name, "moving-average-crossover", PARAMETERS, CAUSE)


def test_strategy_runs_on_the_account_of_its_definition(desks: Desks) -> None:
    first, second = desks
    assert define(second).account == "dollars"
    assert define(first, "other").account == "paper"
    assert manage.desk_of(desks, "trend") is second
    assert manage.desk_of(desks, "other") is first
    with pytest.raises(NotFound):
        manage.desk_of(desks, "nobody")


def test_account_of_a_strategy_does_not_change(desks: Desks) -> None:
    """Its positions would stay behind, without a strategy that manages them."""
    first, second = desks
    define(second)
    with pytest.raises(InvalidBody, match="trades on account dollars"):
        define(first)
    assert define(second).latest.version == 2


def test_strategy_of_a_release_before_accounts_trades_on_the_first_one(desks: Desks) -> None:
    first, second = desks
    define(first)
    first.writer.run(lambda connection: connection.execute(update(strategies).values(account=None)))
    assert manage.desk_of(desks, "trend") is first
    assert define(first).latest.version == 2
    with pytest.raises(InvalidBody):
        define(second)
