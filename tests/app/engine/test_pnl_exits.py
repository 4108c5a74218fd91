"""P&L exits: carried out once a day, through a halt that closes, and lifted on a later day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from algosat.config.settings import Settings
from algosat.domain import market_phases
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.orders import EventKind, Order, OrderType, PendingRequest
from algosat.domain.pnl_exits import PnlExit, PnlOutcome
from algosat.domain.scope import ACCOUNT, Scope
from algosat.engine.daily_loss import DailyLossWatch
from algosat.errors import InvalidBody, NotFound
from algosat.store import audit, queries
from algosat.store import pnl_exits as rows
from algosat.store.audit import Cause
from algosat.trading import auto_close, halts, limits, pnl_exits
from algosat.trading.desk import Desk
from tests.app.desks import (
    CAUSE,
    SECOND,
    accepted,
    advance,
    buy,
    hold,
    open_alerts,
    open_desk,
    order_now,
    other_account,
    set_prices,
)
from tests.app.fakes import FakeClock

OWN = Cause("strategy:trend", "correlation-2")


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    """A desk whose strategy `trend` holds 100 shares at 100: a rupee of price is 100 rupees."""
    with open_desk(settings, clock, stale_quote_seconds=60.0) as opened:
        desk = replace(opened, calendar=ExchangeCalendar(market_phases.packaged()))
        hold(desk, "100", strategy="trend")
        yield desk


def amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def set_exit(desk: Desk, profit: str | None = "500", loss: str | None = "300", **own: Any) -> PnlExit:
    return pnl_exits.set_pnl_exit(
        desk, own.get("strategy", "trend"), amount(profit), amount(loss), own.get("cause", CAUSE)
    )


def check(desk: Desk, price: str) -> None:
    """Set the price of the share and check, as an engine that has just started does."""
    set_prices(desk, ALPHA=price)
    DailyLossWatch().check(desk)


def known(desk: Desk) -> PnlExit:
    with desk.database.read() as connection:
        return pnl_exits.show_pnl_exit(connection, desk, "trend")


def halted(desk: Desk) -> list[halts.Halt]:
    with desk.database.read() as connection:
        return halts.all_in_force(connection)


def exits(desk: Desk) -> list[Order]:
    with desk.database.read() as connection:
        return [order for order in queries.working(connection, desk.account) if order.terms.reduce_only]


@pytest.mark.parametrize(
    ("price", "outcome"), [("105.30", PnlOutcome.PROFIT_TARGET), ("96.50", PnlOutcome.LOSS_LIMIT)]
)
def test_amount_that_is_reached_halts_and_closes_the_strategy(
    desk: Desk, price: str, outcome: PnlOutcome
) -> None:
    entry = accepted(desk, buy(desk, "5", symbol=SECOND, strategy="trend"))
    other = hold(desk, "50", symbol=SECOND)
    set_exit(desk)
    check(desk, "100")
    assert halted(desk) == []
    check(desk, price)
    (halt,) = halted(desk)
    assert (halt.scope, halt.flatten) == (Scope("trend"), True)
    assert order_now(desk, entry).pending is PendingRequest.PENDING_CANCEL
    (sent,) = exits(desk)
    assert (sent.terms.strategy, sent.terms.quantity, sent.terms.type) == (
        "trend", Decimal(100), OrderType.MARKET,
    )  # fmt: skip
    assert (known(desk).outcome, known(desk).reached_on) == (outcome, date(2026, 11, 20))
    assert open_alerts(desk) == {("risk.pnl_exit", "trend")}
    check(desk, price)
    assert (len(halted(desk)), exits(desk)) == (1, [sent])
    assert order_now(desk, other).terms.strategy is None


def test_halt_is_lifted_on_a_later_day_once_nothing_is_held(desk: Desk, clock: FakeClock) -> None:
    set_exit(desk)
    check(desk, "96")
    clock.forward(days=3)  # from Friday to Monday
    check(desk, "96")
    assert [halt.scope for halt in halted(desk)] == [Scope("trend")]
    for order in exits(desk):
        advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="100", at="96")
    DailyLossWatch().check(desk)
    assert exits(desk) == []
    auto_close.follow_closes(desk)
    check(desk, "96")
    assert halted(desk) == []
    assert buy(desk, "1", limit="96", strategy="trend").code is None
    assert known(desk).halted_at is None


def test_halt_stays_until_the_strategy_is_flat_on_every_account(desk: Desk, clock: FakeClock) -> None:
    other = other_account(desk)
    set_exit(desk)
    held = hold(other, "10", strategy="trend")
    check(desk, "96")
    (sent,) = exits(desk)
    advance(desk, sent, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="100", at="96")
    clock.forward(days=3)
    for _ in range(2):
        auto_close.follow_closes(desk)
        check(desk, "96")
    assert len(halted(desk)) == 1
    auto_close.flatten_halted(other)
    set_prices(other)
    (sent,) = exits(other)
    advance(other, sent, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="10", at="96")
    auto_close.follow_closes(other)
    check(desk, "96")
    assert halted(desk) == []
    assert held.terms.account == other.account


def test_loss_limit_of_the_strategy_replaces_the_halt_that_ends_with_the_day(
    desk: Desk, clock: FakeClock
) -> None:
    set_exit(desk)
    limits.change(desk, Scope("trend"), {"max_daily_loss": "600"}, CAUSE)
    check(desk, "96")
    assert halted(desk)[0].reason.endswith("the loss limit is 300")
    clock.forward(seconds=1)
    check(desk, "93")
    (halt,) = halted(desk)
    assert halt.flatten
    assert halt.reason.endswith("today; the limit is 600")
    check(desk, "92")
    assert halted(desk) == [halt]
    (sent,) = exits(desk)
    advance(desk, sent, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="100", at="92")
    clock.forward(days=3)
    for _ in range(2):
        auto_close.follow_closes(desk)
        check(desk, "96")
    assert halted(desk) == [halt]


def test_new_day_counts_from_its_own_baseline(desk: Desk, clock: FakeClock) -> None:
    set_exit(desk)
    check(desk, "98")
    clock.forward(days=3)
    check(desk, "96")
    assert halted(desk) == []
    check(desk, "94.9")
    assert known(desk).reached_on == date(2026, 11, 23)


def test_resume_by_a_person_holds_for_the_day(desk: Desk, clock: FakeClock) -> None:
    set_exit(desk)
    check(desk, "96")
    halts.resume_trading(desk, CAUSE, scope=Scope("trend"))
    check(desk, "95")
    assert (halted(desk), known(desk).halted_at) == ([], None)
    set_exit(desk, loss="700")
    check(desk, "94")
    check(desk, "92.5")
    assert [halt.scope for halt in halted(desk)] == [Scope("trend")]


def test_halt_of_a_person_is_not_lifted_by_the_engine(desk: Desk, clock: FakeClock) -> None:
    set_exit(desk)
    halts.halt_trading(desk, CAUSE, "looks wrong", scope=Scope("trend"))
    check(desk, "96")
    (halt,) = halted(desk)
    assert (halt.reason, halt.actor, halt.flatten) == ("looks wrong", "tester", True)
    assert len(exits(desk)) == 1
    advance(desk, exits(desk)[0], EventKind.SUBMITTING, EventKind.ACCEPTED, fill="100", at="96")
    clock.forward(days=3)
    check(desk, "96")
    check(desk, "96")
    assert halted(desk) == [halt]


def test_engine_that_dies_after_the_halt_closes_when_it_is_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    set_exit(desk)
    with monkeypatch.context() as dying:
        dying.setattr(halts, "close_halted", die)
        with pytest.raises(KeyboardInterrupt):
            check(desk, "96")
    assert (known(desk).outcome, exits(desk)) == (PnlOutcome.LOSS_LIMIT, [])
    check(desk, "99.9")  # the next engine: the loss has shrunk, and the halt stays
    auto_close.flatten_halted(desk)
    assert len(exits(desk)) == 1


def test_halt_of_the_account_does_not_keep_the_strategy_from_being_closed(desk: Desk) -> None:
    set_exit(desk)
    halts.halt_trading(desk, CAUSE, "looks wrong", scope=ACCOUNT)
    check(desk, "96")
    assert len(exits(desk)) == 1


def test_equal_amounts_change_nothing_and_others_keep_the_halt(desk: Desk) -> None:
    first = set_exit(desk)
    assert set_exit(desk) == first
    check(desk, "96")
    assert set_exit(desk).reached_on is not None
    changed = set_exit(desk, loss="800")
    assert (changed.reached_on, changed.halted_at) == (None, halted(desk)[0].at)


@pytest.mark.parametrize(
    ("profit", "loss", "field"), [("0", None, "profit_target"), (None, "-5", "loss_limit"),
                                  (None, "100", "loss_limit")],
)  # fmt: skip
def test_wrong_amount_is_named_and_stores_nothing(
    desk: Desk, profit: str | None, loss: str | None, field: str
) -> None:
    set_prices(desk, ALPHA="98")
    with pytest.raises(InvalidBody) as raised:
        set_exit(desk, profit, loss)
    assert [error["field"] for error in raised.value.errors] == [field]
    with pytest.raises(InvalidBody, match="profit_target"):
        set_exit(desk, None, None)
    with desk.database.read() as connection:
        assert rows.all_of(connection, desk.account) == []


def test_unknown_strategy_is_refused(desk: Desk) -> None:
    with pytest.raises(NotFound):
        set_exit(desk, strategy="trned")


def test_strategy_changes_its_own_exit_but_not_the_operator_s(desk: Desk) -> None:
    def ask(profit: str | None, loss: str | None) -> PnlExit | None:
        return pnl_exits.set_for_strategy(desk, "trend", amount(profit), amount(loss), OWN)

    own = ask("500", None)
    assert own is not None
    assert ask(None, None) is None
    set_exit(desk, loss="300")
    assert ask(None, "10000") == known(desk)
    assert ask(None, None) == known(desk)
    assert known(desk).loss_limit == Decimal(300)
    with pytest.raises(ValueError, match="greater than 0"):
        ask("-1", None)


def test_amount_that_the_strategy_has_reached_already_is_carried_out(desk: Desk) -> None:
    set_prices(desk, ALPHA="90")
    pnl_exits.set_for_strategy(desk, "trend", None, Decimal(100), OWN)
    check(desk, "90")
    assert len(exits(desk)) == 1


def test_removed_exit_acts_no_more(desk: Desk) -> None:
    set_exit(desk)
    pnl_exits.remove_pnl_exit(desk, "trend", CAUSE)
    check(desk, "90")
    assert halted(desk) == []
    with pytest.raises(NotFound):
        pnl_exits.remove_pnl_exit(desk, "trend", CAUSE)
    with desk.database.read() as connection:
        kinds = [each.kind for each in audit.all_events(connection) if each.kind.startswith("pnl_exit")]
    assert kinds == ["pnl_exit.set", "pnl_exit.removed"]
