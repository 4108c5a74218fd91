from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.domain.orders import Order, PendingRequest, Side, Status
from algosat.domain.risk import DenialCode
from algosat.domain.scope import Scope
from algosat.errors import IllegalTransition, NotFound
from algosat.live import manage
from algosat.store import audit, queries
from algosat.store.writer import Writer
from algosat.trading import cancel, halts
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SHARE, accepted, buy, hold, order_now, sell


def all_in_force(desk: Desk) -> list[halts.Halt]:
    with desk.database.read() as connection:
        return halts.all_in_force(connection)


def kinds(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        return [event.kind for event in audit.all_events(connection) if event.kind.startswith("risk.")]


def test_new_order_during_a_halt_is_denied_with_the_reason(desk: Desk) -> None:
    halts.halt_trading(desk, CAUSE, "the feed is odd")
    denied = buy(desk)
    assert denied.code == DenialCode.HALTED
    assert "the feed is odd" in str(denied.reason)


def test_only_reduce_only_orders_pass_during_a_halt(desk: Desk) -> None:
    hold(desk)
    halts.halt_trading(desk, CAUSE, "stop")
    assert sell(desk, reduce_only=True).status is Status.CREATED
    assert sell(desk).code == DenialCode.HALTED


def test_halt_cancels_working_orders(desk: Desk) -> None:
    new, sent = buy(desk), accepted(desk, buy(desk))
    halts.halt_trading(desk, CAUSE, "stop")
    assert order_now(desk, new).status is Status.CANCELLED
    assert order_now(desk, sent).pending is PendingRequest.PENDING_CANCEL


def test_halt_without_cancelling_leaves_orders_working(desk: Desk) -> None:
    sent = accepted(desk, buy(desk))
    halts.halt_trading(desk, CAUSE, "stop", cancel_orders=False)
    assert order_now(desk, sent).pending is None


def test_flattening_halt_closes_positions(desk: Desk) -> None:
    hold(desk, "30")
    halts.halt_trading(desk, CAUSE, "stop", flatten=True)
    with desk.database.read() as connection:
        (order,) = queries.working(connection, desk.account)
    assert (order.terms.side, order.terms.quantity, order.terms.reduce_only) == (
        Side.SELL,
        Decimal(30),
        True,
    )


def test_halt_is_stored_with_its_actor_time_and_reason(desk: Desk) -> None:
    halts.halt_trading(desk, CAUSE, "stop")
    other = Writer(desk.database)
    try:
        (kept,) = other.run(halts.all_in_force)
    finally:
        other.close()
    assert (kept.actor, kept.reason, kept.at) == ("tester", "stop", desk.clock())


def test_resume_lets_orders_pass_and_is_audited(desk: Desk) -> None:
    halts.halt_trading(desk, CAUSE, "stop")
    assert halts.resume_trading(desk, CAUSE)
    assert buy(desk).status is Status.CREATED
    assert kinds(desk) == ["risk.halted", "risk.resumed"]


def test_resume_without_a_halt_returns_false(desk: Desk) -> None:
    assert not halts.resume_trading(desk, CAUSE)
    assert kinds(desk) == []


def test_halt_of_a_strategy_leaves_other_orders(desk: Desk) -> None:
    own, other = buy(desk, strategy="trend"), buy(desk)
    halts.halt_trading(desk, CAUSE, "stop", scope=Scope("trend"))
    assert buy(desk, strategy="trend").code == DenialCode.HALTED
    assert buy(desk).status is Status.CREATED
    assert order_now(desk, own).status is Status.CANCELLED
    assert order_now(desk, other).status is Status.CREATED


def test_second_halt_keeps_the_flattening_of_the_first(desk: Desk) -> None:
    halts.halt_trading(desk, CAUSE, "first", flatten=True)
    halts.halt_trading(desk, CAUSE, "second")
    assert [(each.reason, each.flatten) for each in all_in_force(desk)] == [("second", True)]


def test_crash_after_the_commit_leaves_halt_and_cancel_requests(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = accepted(desk, buy(desk))

    def die(_desk: Desk) -> None:
        raise SystemExit

    monkeypatch.setattr(Desk, "wake_engine", die)
    with pytest.raises(SystemExit):
        halts.halt_trading(desk, CAUSE, "stop")
    assert [each.reason for each in all_in_force(desk)] == ["stop"]
    assert order_now(desk, sent).pending is PendingRequest.PENDING_CANCEL


def test_halt_is_stored_even_if_cancelling_fails(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = accepted(desk, buy(desk))

    def fail(*_arguments: object) -> list[Order]:
        raise IllegalTransition("broken")

    monkeypatch.setattr(cancel, "request_all", fail)
    with pytest.raises(IllegalTransition, match="broken"):
        halts.halt_trading(desk, CAUSE, "stop")
    assert [each.reason for each in all_in_force(desk)] == ["stop"]
    assert order_now(desk, sent).pending is None


@pytest.mark.parametrize("scope", ["tredn", "account"])
def test_halt_of_an_unknown_scope_is_refused(desk: Desk, scope: str) -> None:
    buy(desk, strategy="trend")
    with pytest.raises(NotFound, match="the scope of all accounts is 'all'"):
        halts.halt_trading(desk, CAUSE, "stop", scope=Scope(scope))
    assert all_in_force(desk) == []


def test_strategy_without_orders_can_be_halted(desk: Desk) -> None:
    manage.define(desk, "trend", "moving-average-crossover", {"symbols": [SHARE], "quantity": 1}, CAUSE)
    assert halts.halt_trading(desk, CAUSE, "stop", scope=Scope("trend")).scope == Scope("trend")


def test_halt_that_was_lifted_meanwhile_closes_nothing(desk: Desk) -> None:
    hold(desk, "30")
    halt = halts.halt_trading(desk, CAUSE, "stop", cancel_orders=False)
    flattening = replace(halt, flatten=True)  # as the engine has read it before the resume
    halts.resume_trading(desk, CAUSE)
    halts.close_halted(desk, flattening, CAUSE)
    with desk.database.read() as connection:
        assert queries.working(connection, desk.account) == []
