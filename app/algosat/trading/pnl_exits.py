"""Set, remove and carry out P&L exits.

When the day's profit or loss of a strategy reaches its profit target or loss limit, the engine halts the
strategy until the day ends: entries are denied, its working orders are cancelled and its positions closed.
On a later day the engine lifts that halt, once nothing is held any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Final

from sqlalchemy import Connection

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.pnl_exits import PnlExit, PnlOutcome
from algosat.domain.scope import Scope
from algosat.errors import InvalidBody, NotFound, StoreBusy, StoreDamaged
from algosat.monitoring import correlation
from algosat.store import audit, queries
from algosat.store import pnl_exits as rows
from algosat.store.audit import STRATEGY, Cause
from algosat.trading import account_book, alerts, close, close_records, daily_pnl, halts
from algosat.trading.account_book import AccountBook
from algosat.trading.close import PositionFilter
from algosat.trading.desk import Desk
from algosat.trading.halts import Halt

_ACTOR: Final = "clock"


def set_pnl_exit(
    desk: Desk, strategy: str, profit_target: Decimal | None, loss_limit: Decimal | None, cause: Cause
) -> PnlExit:
    """Set the P&L exit of a strategy; it replaces an earlier one.

    Raises NotFound for an unknown strategy, and InvalidBody if an amount is missing, not positive or reached
    already; then nothing has changed.
    """
    _require_amounts(profit_target, loss_limit)

    def unit(connection: Connection) -> PnlExit:
        halts.require_known(connection, Scope(strategy))
        new = _changed(connection, desk, strategy, profit_target, loss_limit, cause)
        pnl = _pnl(connection, desk, strategy)
        outcome = new.reached_by(pnl)
        if outcome is not None and new.reached_on is None:
            _refuse(outcome, f"the strategy's result of today is {pnl:.2f} already: close its positions")
        return _store(connection, desk, new, cause)

    return desk.writer.run(unit)


def set_for_strategy(
    desk: Desk, strategy: str, profit_target: Decimal | None, loss_limit: Decimal | None, cause: Cause
) -> PnlExit | None:
    """Set the P&L exit that a strategy asks for itself; without an amount, remove it.

    One that a person has set stays as it is. An amount that is reached already is carried out by the engine
    within a second. Returns the P&L exit in force. Raises ValueError for an amount that is not positive.
    """

    def unit(connection: Connection) -> PnlExit | None:
        new = None
        if profit_target is not None or loss_limit is not None:
            new = _changed(connection, desk, strategy, profit_target, loss_limit, cause)
        known = rows.get(connection, desk.account, strategy)
        if known is not None and not known.set_by.startswith(STRATEGY):
            return known
        if new is not None:
            return _store(connection, desk, new, cause)
        if known is not None:
            _remove(connection, desk, known, cause)
        return None

    return desk.writer.run(unit)


def remove_pnl_exit(desk: Desk, strategy: str, cause: Cause) -> PnlExit:
    """Remove the P&L exit of a strategy. A halt that it caused stays. Raises NotFound."""

    def unit(connection: Connection) -> PnlExit:
        known = show_pnl_exit(connection, desk, strategy)
        _remove(connection, desk, known, cause)
        return known

    return desk.writer.run(unit)


def show_pnl_exit(connection: Connection, desk: Desk, strategy: str) -> PnlExit:
    """Return the P&L exit of a strategy. Raises NotFound."""
    found = rows.get(connection, desk.account, strategy)
    if found is None:
        raise NotFound(f"strategy {strategy!r} has no P&L exit")
    return found


def carry_out(desk: Desk, exits: Iterable[PnlExit], day: date, book: AccountBook) -> None:
    """Halt and close the strategies that have reached an amount, and lift the halts of earlier days.

    `book` is read after the day's baseline of each strategy was stored.
    """
    with desk.database.read() as connection:
        steps = [(each, _step(connection, desk, each, day, book)) for each in exits]
    for each, step in steps:
        if step is None:
            continue
        cause = Cause(_ACTOR, correlation.new())
        try:
            halt = desk.writer.run(partial(_perform, desk=desk, strategy=each.strategy, day=day, cause=cause))
        except (StoreBusy, StoreDamaged) as error:
            if not isinstance(step, _Reach):
                raise
            _record(desk, each, step, cause, error)
            continue
        if halt is not None:
            halts.close_halted(desk, halt, cause)
        desk.wake_engine()


@dataclass(frozen=True, slots=True)
class _Reach:
    outcome: PnlOutcome
    pnl: Decimal


@dataclass(frozen=True, slots=True)
class _Lift:
    """Lift the halt of an earlier day."""


@dataclass(frozen=True, slots=True)
class _Forget:
    """The halt was lifted or replaced by a person: it is not the engine's to lift any more."""


def _step(
    connection: Connection, desk: Desk, of: PnlExit, day: date, book: AccountBook
) -> _Reach | _Lift | _Forget | None:
    """Return the next step of a P&L exit, or None if there is nothing to do."""
    if of.halted_at is not None:
        halt = _halt_of(connection, of.strategy)
        if halt is None or halt.at != of.halted_at:
            return _Forget()
        is_over = desk.books.trading_day(of.halted_at) < day
        return _Lift() if is_over and _is_flat(connection, desk, of.strategy) else None
    if of.reached_on == day:
        return None
    pnl = daily_pnl.daily_pnl(connection, desk, Scope(of.strategy), day, book)
    outcome = of.reached_by(pnl)
    return None if outcome is None else _Reach(outcome, pnl)


def _perform(connection: Connection, desk: Desk, strategy: str, day: date, cause: Cause) -> Halt | None:
    """Take the next step of a P&L exit, decided afresh. Returns the halt if it was reached."""
    of, book = (
        rows.get(connection, desk.account, strategy),
        account_book.read_book(connection, desk.account, desk.venue),
    )
    step = None if of is None else _step(connection, desk, of, day, book)
    if of is None or step is None:
        return None
    if isinstance(step, _Reach):
        return _reach(connection, desk, of, step, day, cause)
    if isinstance(step, _Lift):
        halts.lift(connection, (desk,), Scope(strategy), cause)
    rows.put(connection, replace(of, halted_at=None))
    return None


def _reach(connection: Connection, desk: Desk, of: PnlExit, reached: _Reach, day: date, cause: Cause) -> Halt:
    """Halt the strategy. A halt by a person stays, and closes the positions from now on."""
    at, reason = desk.clock(), of.reason(reached.outcome, reached.pnl)
    known = _halt_of(connection, of.strategy)
    wanted = Halt(Scope(of.strategy), at, cause.actor, reason, flatten=True)
    halt = halts.begin(connection, desk, replace(known, flatten=True) if known else wanted, cause)
    of = replace(of, reached_on=day, outcome=reached.outcome, halted_at=None if known else halt.at)
    rows.put(connection, of)
    data = {**rows.data(of), "outcome": reached.outcome.value, "pnl": format(reached.pnl, "f")}
    audit.append(connection, at, "pnl_exit.reached", of.strategy, cause, data)
    detail = f"strategy {of.strategy} {reason}: it is halted for the day, and its positions are closed"
    alerts.open_alert(connection, desk, AlertKind.RISK_PNL_EXIT, of.strategy, cause, detail)
    return halt


def _record(desk: Desk, of: PnlExit, reached: _Reach, cause: Cause, refusal: Exception) -> None:
    """Record the halt that the store refuses in the emergency journal, once.

    Its cancels are sent at once. The halt is then like one by a person: a person lifts it.
    """
    with desk.database.read() as connection:
        if any(halt.covers(of.strategy) for halt in halts.known(connection, desk)):
            return
    reason = of.reason(reached.outcome, reached.pnl)
    wanted = Halt(Scope(of.strategy), desk.clock(), cause.actor, reason, flatten=True)
    halts.record_refused(desk, (desk,), wanted, cause, refusal)


def _changed(
    connection: Connection,
    desk: Desk,
    strategy: str,
    profit_target: Decimal | None,
    loss_limit: Decimal | None,
    cause: Cause,
) -> PnlExit:
    """Return the new P&L exit of a strategy; the present one if the amounts are the same."""
    known = rows.get(connection, desk.account, strategy)
    if known is not None and (known.profit_target, known.loss_limit) == (profit_target, loss_limit):
        return known
    halted_at = None if known is None else known.halted_at
    at = desk.clock()
    return PnlExit(desk.account, strategy, profit_target, loss_limit, at, cause.actor, halted_at=halted_at)


def _store(connection: Connection, desk: Desk, new: PnlExit, cause: Cause) -> PnlExit:
    if new == rows.get(connection, desk.account, new.strategy):
        return new
    audit.append(connection, new.set_at, "pnl_exit.set", new.strategy, cause, rows.data(new))
    return rows.put(connection, new)


def _remove(connection: Connection, desk: Desk, known: PnlExit, cause: Cause) -> None:
    rows.remove(connection, known.account, known.strategy)
    audit.append(connection, desk.clock(), "pnl_exit.removed", known.strategy, cause, rows.data(known))


def _pnl(connection: Connection, desk: Desk, strategy: str) -> Decimal:
    book, day = (
        account_book.read_book(connection, desk.account, desk.venue),
        desk.books.trading_day(desk.clock()),
    )
    return daily_pnl.daily_pnl(connection, desk, Scope(strategy), day, book)


def _halt_of(connection: Connection, strategy: str) -> Halt | None:
    return next((each for each in halts.all_in_force(connection) if each.scope == Scope(strategy)), None)


def _is_flat(connection: Connection, desk: Desk, strategy: str) -> bool:
    """Return whether the strategy holds nothing, has no working order, and no close of it is under way.

    The halt is one of all accounts, so this holds for each of them.
    """
    accounts = {desk.account, *queries.accounts_of(connection, strategy)}
    desks = [replace(desk, account=account) for account in accounts]
    return all(_is_flat_on_account(connection, each, strategy) for each in desks)


def _is_flat_on_account(connection: Connection, desk: Desk, strategy: str) -> bool:
    lines = (line for each in close_records.unfinished(connection, desk.account) for line in each.lines)
    is_being_closed = any(line.strategy == strategy and not line.is_finished for line in lines)
    return not is_being_closed and not close.uncovered(connection, desk, PositionFilter(strategy=strategy))


def _require_amounts(profit_target: Decimal | None, loss_limit: Decimal | None) -> None:
    if profit_target is None and loss_limit is None:
        raise InvalidBody("Give `profit_target`, `loss_limit` or both")
    for outcome, amount in ((PnlOutcome.PROFIT_TARGET, profit_target), (PnlOutcome.LOSS_LIMIT, loss_limit)):
        if amount is not None and amount <= 0:
            _refuse(outcome, "must be greater than 0")


def _refuse(field: PnlOutcome, detail: str) -> None:
    error = {"field": field.value, "detail": detail, "code": "pnl_exit"}
    raise InvalidBody(f"{field}: {detail}", errors=[error])
