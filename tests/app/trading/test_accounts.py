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
from algosat.engine.daily_loss import DailyLossWatch
from algosat.errors import NotFound
from algosat.trading import close, halts, limits, totals
from algosat.trading.auto_close import flatten_halted
from algosat.trading.desk import Desk, Desks, linked
from algosat.trading.halt_cancels import cancel_halted
from tests.app.desks import CAUSE, accepted, buy, hold, open_desk, order_now, other_account, sell, set_prices
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


def test_limits_stay_with_their_account_when_the_accounts_are_listed_in_another_order(desks: Desks) -> None:
    first, second = desks
    limits.change(first, ACCOUNT, {"max_order_quantity": 2}, CAUSE)
    first, second = replace(first, is_first=False), replace(second, is_first=True)
    assert (denied(first, "3"), denied(second, "3")) == (DenialCode.ORDER_QUANTITY, None)


def test_positions_and_funds_of_accounts_are_apart(desks: Desks) -> None:
    first, second = desks
    hold(second, "7")
    with first.database.read() as connection:
        assert list(close.uncovered(connection, first, close.PositionFilter())) == []
        assert len(close.uncovered(connection, second, close.PositionFilter())) == 1


# --- limits of all accounts of a currency together ---------------------------------------------------------


@pytest.fixture
def rupees(settings: Settings, clock: FakeClock) -> Iterator[Desks]:
    """Yield two accounts in rupees and one in dollars."""
    with open_desk(settings, clock) as desk:
        second = replace(other_account(desk, "second"), currency="INR")
        yield linked(replace(desk, is_only=False), second, other_account(desk))


def test_limit_of_all_accounts_counts_the_orders_and_positions_of_each(rupees: Desks) -> None:
    first, second, dollars = rupees
    hold(second, "50")
    totals.change(first, {"max_gross_exposure": "6000"}, CAUSE)
    assert denied(first, "11") == DenialCode.GROSS_EXPOSURE
    assert denied(first, "10") is None
    assert denied(second, "1") == DenialCode.GROSS_EXPOSURE
    assert denied(dollars, "100") is None
    totals.change(first, {"max_gross_exposure": None}, CAUSE)
    assert denied(second, "1") is None


@pytest.mark.parametrize(
    ("limit", "code"),
    [("max_open_orders", DenialCode.OPEN_ORDERS), ("max_orders_per_day", DenialCode.ORDERS_PER_DAY)],
)
def test_numbers_of_orders_are_limited_over_all_accounts(rupees: Desks, limit: str, code: DenialCode) -> None:
    first, second, dollars = rupees
    totals.change(second, {limit: 2}, CAUSE)
    assert (denied(first, "1"), denied(second, "2")) == (None, None)
    assert (denied(first, "3"), denied(second, "3"), denied(dollars, "3")) == (code, code, None)


def test_loss_of_all_accounts_together_halts_each_of_them_and_lets_exits_pass(rupees: Desks) -> None:
    first, second, dollars = rupees
    for desk in rupees:
        DailyLossWatch().check(desk)
        hold(desk, "100")
    totals.change(first, {"max_daily_loss": "700"}, CAUSE)
    for desk in rupees:
        set_prices(desk, ALPHA="96")
    assert (denied(first), denied(dollars)) == (DenialCode.DAILY_LOSS, None)
    assert sell(first, "100", limit="96", reduce_only=True).status is Status.CREATED
    for desk in rupees:
        DailyLossWatch().check(desk)
    assert halted_scopes(first) == {"account:paper", "account:second"}
    assert denied(dollars, "2") is None
    assert second.others()[0].account == "paper"


def test_live_and_paper_accounts_are_not_added(rupees: Desks) -> None:
    first, second, _ = rupees
    assert first.capabilities is not None
    live = replace(second, account="live", capabilities=replace(first.capabilities, is_live=True))
    accounts = {
        each.account: [other.account for other in each.others()] for each in linked(first, second, live)
    }
    assert accounts == {"paper": ["second"], "second": ["paper"], "live": []}
