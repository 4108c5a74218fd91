"""Two accounts on one store: what concerns one does not concern the other, unless a scope says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.config.settings import Settings
from algosat.domain.orders import PendingRequest, Status
from algosat.domain.risk import DenialCode
from algosat.domain.scope import ACCOUNT, IN_HALTS, Scope
from algosat.engine.auto_close import flatten_halted
from algosat.engine.daily_loss import DailyLossWatch
from algosat.engine.halt_cancels import cancel_halted
from algosat.errors import NotFound
from algosat.trading import close, halts, limits
from algosat.trading.desk import Desk, Desks
from tests.app.desks import CAUSE, accepted, buy, hold, open_desk, order_now, other_account, set_prices
from tests.app.fakes import FakeClock


@pytest.fixture
def desks(settings: Settings, clock: FakeClock) -> Iterator[Desks]:
    with open_desk(settings, clock) as desk:
        yield Desks(replace(desk, is_only=False), other_account(desk))


def denied(desk: Desk, quantity: str = "1") -> str | None:
    """Return the code with which a new order is denied, or None."""
    order = buy(desk, quantity)
    return order.code if order.status is Status.DENIED else None


def halted_scopes(desk: Desk) -> set[str]:
    with desk.database.read() as connection:
        return {halt.scope.name(IN_HALTS) for halt in halts.all_in_force(connection)}


def test_halt_of_one_account_leaves_the_other_trading(desks: Desks) -> None:
    first, second = desks
    orders = accepted(first, buy(first)), accepted(second, buy(second))
    halts.halt_trading(second, CAUSE, "why", scope=Scope(account="dollars"))
    assert (denied(first, "2"), denied(second, "2")) == (None, DenialCode.HALTED)
    pending = [order_now(desk, order).pending for desk, order in zip(desks, orders, strict=True)]
    assert pending == [None, PendingRequest.PENDING_CANCEL]
    assert halts.resume_trading(second, CAUSE, scope=Scope(account="dollars"))
    assert denied(second, "3") is None


def test_halt_of_all_accounts_cancels_and_closes_on_each(desks: Desks) -> None:
    first, second = desks
    orders = accepted(first, buy(first)), accepted(second, buy(second))
    hold(second, "5")
    halts.halt_trading(first, CAUSE, "why", flatten=True, others=(second,))
    assert {denied(desk, "2") for desk in desks} == {DenialCode.HALTED}
    pending = {order_now(desk, order).pending for desk, order in zip(desks, orders, strict=True)}
    assert pending == {PendingRequest.PENDING_CANCEL}
    with second.database.read() as connection:
        assert close.uncovered(connection, second, close.PositionFilter()) == {}
    assert halts.resume_trading(first, CAUSE, others=(second,))
    assert halted_scopes(first) == set()


def test_lanes_carry_out_only_the_halts_of_their_account(desks: Desks) -> None:
    """Each lane reads all halts again: a lane must not act on those of another account."""
    first, second = desks
    orders = accepted(first, buy(first)), accepted(second, buy(second))
    hold(first, "5")
    halts.halt_trading(second, CAUSE, "why", scope=Scope(account="dollars"), flatten=True)
    for desk in desks:
        cancel_halted(desk)
        flatten_halted(desk)
    assert order_now(first, orders[0]).pending is None
    with first.database.read() as connection:
        assert len(close.uncovered(connection, first, close.PositionFilter())) == 1


def test_unknown_account_of_a_halt_is_named(desks: Desks) -> None:
    with pytest.raises(NotFound, match="there are paper, dollars"):
        desks.in_scope(Scope.named("account:yen", IN_HALTS))
    assert desks.in_scope(Scope.named("all", IN_HALTS)) == tuple(desks)


def test_daily_loss_halts_the_account_that_lost(desks: Desks) -> None:
    first, second = desks
    for desk in desks:
        DailyLossWatch().check(desk)
    hold(second, "1000")
    set_prices(first)
    set_prices(second, ALPHA="1")
    limits.change(second, ACCOUNT, {"max_daily_loss": 500}, CAUSE)
    for desk in desks:
        DailyLossWatch().check(desk)
    assert halted_scopes(first) == {"account:dollars"}
    assert denied(first) is None


def test_daily_loss_of_the_only_account_halts_all(settings: Settings, clock: FakeClock) -> None:
    """An earlier release, to which a server may be rolled back, knows no halts of one account."""
    with open_desk(settings, clock, max_daily_loss=Decimal(500)) as desk:
        hold(desk, "1000")
        set_prices(desk, ALPHA="99")
        DailyLossWatch().check(desk)
        assert halted_scopes(desk) == {"all"}


def test_limits_of_an_account_are_its_own(desks: Desks) -> None:
    first, second = desks
    limits.change(second, ACCOUNT, {"max_order_quantity": 5}, CAUSE)
    assert (denied(first, "6"), denied(second, "6")) == (None, DenialCode.ORDER_QUANTITY)
    limits.change(first, ACCOUNT, {"max_order_quantity": 2}, CAUSE)
    assert (denied(first, "3"), denied(second, "3")) == (DenialCode.ORDER_QUANTITY, None)
    with first.database.read() as connection:
        assert limits.scopes(connection) == [ACCOUNT]


def test_positions_and_funds_of_accounts_are_apart(desks: Desks) -> None:
    first, second = desks
    hold(second, "7")
    with first.database.read() as connection:
        assert list(close.uncovered(connection, first, close.PositionFilter())) == []
        assert len(close.uncovered(connection, second, close.PositionFilter())) == 1
