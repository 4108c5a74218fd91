"""From every state, "close everything" ends flat; and the walks find a fault planted in each state."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection

from algosat.config.settings import Settings
from algosat.domain import risk
from algosat.domain.closing import CloseReason, ClosingStep, LineState, next_step
from algosat.domain.orders import Order, OrderTerms, OrderType
from algosat.domain.risk import Denial, DenialCode, RiskSnapshot, price_checks
from algosat.engine.pending_requests import CancelModifySender
from algosat.engine.reconciler import Reconciler
from algosat.engine.router import Router
from algosat.engine.sender import Sender
from algosat.errors import BrokerError, BrokerUncertain
from algosat.trading import account_book, close_follow, close_records, conversion_records
from algosat.trading.close import PositionFilter
from algosat.trading.close_records import Close
from tests.app.engine.closing_walk import State, open_walk
from tests.app.thorough import examples

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]

WALKS: Final = 100
_TRIES: Final = 20  # walks in which a planted fault must show

Patch = pytest.MonkeyPatch


def walked(
    seed: int, template: Path, directory: Path, settings: Settings, *forced: State
) -> AbstractSet[State]:
    """Return the states of a walk that ended flat. Raises AssertionError."""
    store = Path(shutil.copy(template, directory / f"{seed}.db"))
    with open_walk(seed, store, settings, frozenset(forced)) as walk:
        try:
            walk.go()
        except AssertionError as error:
            raise AssertionError(f"walk {seed} in {sorted(walk.states)}: {error}") from error
        return walk.states


@pytest.mark.parametrize("chunk", range(examples(1)))
def test_close_everything_ends_flat_from_every_state(
    chunk: int, empty_store: Path, tmp_path: Path, settings: Settings
) -> None:
    seen: Counter[State] = Counter()
    for seed in range(chunk * WALKS, (chunk + 1) * WALKS):
        seen.update(walked(seed, empty_store, tmp_path, settings))
    assert all(seen[state] >= WALKS * 0.05 for state in State), seen


# --- planted faults ----------------------------------------------------------------------------------


def only_orders_by_hand_are_closed(patch: Patch) -> None:
    patch.setattr(PositionFilter, "selects", lambda _self, key: key[0] == "")


def only_intraday_positions_are_closed(patch: Patch) -> None:
    patch.setattr(PositionFilter, "selects", lambda _self, key: key[2] == "intraday")


def leaving(chosen: Callable[[Order], bool]) -> Callable[[Patch], None]:
    """Return a fault: a close does not cancel the chosen orders."""

    def plant(patch: Patch) -> None:
        def faulty(*arguments: Any, **options: Any) -> ClosingStep:
            step = next_step(*arguments, **options)
            return replace(step, in_the_way=tuple(each for each in step.in_the_way if not chosen(each)))

        patch.setattr("algosat.trading.close_follow.next_step", faulty)

    return plant


def halts_reject_exits(patch: Patch) -> None:
    right = Router._why_not_sent  # noqa: SLF001 - the fault is planted there

    def faulty(router: Router, connection: Connection, order: Order, *arguments: Any, **options: Any) -> Any:
        entry = replace(order, terms=replace(order.terms, reduce_only=False))
        return right(router, connection, entry, *arguments, **options)

    patch.setattr(Router, "_why_not_sent", faulty)


def conversions_reserve_nothing(patch: Patch) -> None:
    patch.setattr(account_book, "_add_conversion", lambda _tallies, _row: None)
    patch.setattr(conversion_records, "of_line", lambda _connection, _account, _key: None)


def closes_of_pnl_exits_are_not_followed(patch: Patch) -> None:
    right = close_follow._groups  # noqa: SLF001 - the fault is planted there

    def faulty(*arguments: Any) -> list[Any]:
        return [group for group in right(*arguments) if not _is_of_strategy_halt(group.closes[0])]

    patch.setattr(close_follow, "_groups", faulty)


def _is_of_strategy_halt(close: Close) -> bool:
    return close.reason is CloseReason.HALT and close.strategy is not None


def lines_that_wait_for_the_market_are_forgotten(patch: Patch) -> None:
    _follow_only(
        patch,
        lambda close: replace(
            close, lines=tuple(line for line in close.lines if line.state is not LineState.WAITING)
        ),
    )


def _follow_only(patch: Patch, seen: Callable[[Close], Close]) -> None:
    right = close_records.unfinished

    def faulty(connection: Connection, account: str) -> list[Close]:
        return [seen(close) for close in right(connection, account)]

    patch.setattr(close_records, "unfinished", faulty)


def _with_check(patch: Patch, check: Callable[[OrderTerms, RiskSnapshot], Denial | None]) -> None:
    patch.setattr(risk, "CHECKS", (check, *risk.CHECKS))


def exits_need_a_fresh_quote(patch: Patch) -> None:
    _with_check(patch, price_checks.quote_is_fresh)


def exits_need_the_calendar(patch: Patch) -> None:
    def check(_terms: OrderTerms, snapshot: RiskSnapshot) -> Denial | None:
        return Denial(DenialCode.CALENDAR_UNKNOWN, "planted") if snapshot.phase is None else None

    _with_check(patch, check)


def uncertain_orders_are_sent_again(patch: Patch) -> None:
    right = Sender._place  # noqa: SLF001 - the fault is planted there

    def faulty(sender: Sender, order: Order) -> None:
        broker = sender._broker  # noqa: SLF001
        try:
            report = broker.place(order)
        except BrokerUncertain:
            right(sender, order)
        except BrokerError as error:
            sender._queue_resend(order, error)  # noqa: SLF001
        else:
            sender._report_processor.process_placed(order, report)  # noqa: SLF001

    patch.setattr(Sender, "_place", faulty)


def orders_that_are_gone_count_as_cancelled(patch: Patch) -> None:
    patch.setattr(CancelModifySender, "_has_vanished", lambda _sender, _order: True)
    patch.setattr(CancelModifySender, "_refresh", lambda _sender, _order: True)


def refused_exits_are_not_sent_again(patch: Patch) -> None:
    patch.setattr(close_follow._View, "_must_pause", lambda view: view.line.refusals > 0)  # noqa: SLF001


def closes_of_an_earlier_engine_are_forgotten(patch: Patch) -> None:
    started: list[datetime] = []
    right_start, right_unfinished = Reconciler.mark_interrupted, close_records.unfinished

    def start(reconciler: Reconciler) -> None:
        started.append(reconciler._desk.clock())  # noqa: SLF001
        right_start(reconciler)

    def unfinished(connection: Connection, account: str) -> list[Close]:
        found = right_unfinished(connection, account)
        return [close for close in found if not started or close.created_at >= started[-1]]

    patch.setattr(Reconciler, "mark_interrupted", start)
    patch.setattr(close_records, "unfinished", unfinished)


FAULTS: Final[Mapping[State, Callable[[Patch], None]]] = {
    State.SEVERAL_STRATEGIES: only_orders_by_hand_are_closed,
    State.SEVERAL_PRODUCTS: only_intraday_positions_are_closed,
    State.STOP: leaving(lambda order: order.terms.type.has_trigger),
    State.TARGET: leaving(lambda order: order.terms.type is OrderType.LIMIT and order.terms.reduce_only),
    State.PARTIAL_FILL: leaving(lambda order: bool(order.filled_quantity)),
    State.LINKED: leaving(lambda order: not order.terms.reduce_only),  # the entry of a bracket
    State.CONVERSION: conversions_reserve_nothing,
    State.PNL_EXIT: closes_of_pnl_exits_are_not_followed,
    State.HALT: halts_reject_exits,
    State.CLOSED: lines_that_wait_for_the_market_are_forgotten,
    State.STALE: exits_need_a_fresh_quote,
    State.CALENDAR_ENDED: exits_need_the_calendar,
    State.BROKER_SLOW: uncertain_orders_are_sent_again,
    State.TRADES_LAG: orders_that_are_gone_count_as_cancelled,
    State.BROKER_AWAY: refused_exits_are_not_sent_again,
    State.ENGINE_AWAY: closes_of_an_earlier_engine_are_forgotten,
}


# `make test` plants the faults that would sell twice or leave a position; `make prove` plants all.
PLANTED: Final = tuple(State) if examples(1) > 1 else (
    State.STOP, State.CONVERSION, State.BROKER_SLOW, State.ENGINE_AWAY,
)  # fmt: skip


@pytest.mark.parametrize("state", PLANTED)
def test_walks_find_a_fault_in_each_state(
    state: State, empty_store: Path, tmp_path: Path, settings: Settings, monkeypatch: Patch
) -> None:
    FAULTS[state](monkeypatch)
    for seed in range(_TRIES):
        try:
            walked(seed, empty_store, tmp_path, settings, state)
        except AssertionError:
            return
    pytest.fail(f"{_TRIES} walks did not find the fault in the state: {state}")
