"""`algosat risk`: halt and resume trading on the server, without API or broker."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

import click

from algosat.cli.base import Chosen, operator, with_account, with_directory
from algosat.cli.safe_output import row

if TYPE_CHECKING:
    from algosat.domain.scope import Scope

_MOST: Final = 10_000_000_000
_RECORDED: Final = (
    "halted: recorded in the emergency journal, because the store refuses writes; the engine cancels orders "
    "at their brokers, and the halt holds when the store is back"
)


@click.group()
def command() -> None:
    """Halt and resume trading."""


@command.command()
@click.option("--reason", required=True, help="Reason, for the audit trail and the other users.")
@click.option("--cancel/--no-cancel", default=True, show_default=True, help="Cancel working orders.")
@click.option("--flatten", is_flag=True, help="Also close all positions.")
@click.option("--scope", default="all", show_default=True, help="all, account:NAME, or a strategy.")
@with_directory
@click.pass_obj
def halt(chosen: Chosen, reason: str, cancel: bool, flatten: bool, scope: str) -> None:
    """Deny new orders, except reduce-only ones, and cancel working orders."""
    from sqlalchemy.exc import SQLAlchemyError

    from algosat.domain.scope import IN_HALTS, Scope
    from algosat.errors import StoreBusy, StoreDamaged
    from algosat.trading import halts

    covered, is_recorded = Scope.named(scope, IN_HALTS), False
    try:
        with chosen.desks() as desks:
            desk, *others = desks.in_scope(covered)
            halts.halt_trading(
                desk,
                operator(),
                reason,
                scope=covered,
                others=others,
                cancel_orders=cancel,
                flatten=flatten,
            )
            with desk.database.read() as connection:
                is_recorded = bool(halts.recorded(connection, desk))
    except (StoreBusy, StoreDamaged, SQLAlchemyError):  # the store cannot even be read
        _record_halt(chosen, covered, reason, cancel=cancel, flatten=flatten)
        is_recorded = True
    click.echo("halted" if not is_recorded else _RECORDED)


def _record_halt(chosen: Chosen, scope: Scope, reason: str, *, cancel: bool, flatten: bool) -> None:
    """Record a halt in the emergency journal. Raises StoreBusy, and NotFound for an unknown account."""
    from algosat.clock import now
    from algosat.errors import NotFound
    from algosat.store.emergency_journal import EmergencyJournal
    from algosat.trading import halts

    algosat = chosen.settings().algosat
    if scope.account is not None and scope.account not in {each.name for each in algosat.accounts}:
        raise NotFound(f"no account {scope.account!r} is known")
    journal = EmergencyJournal(algosat.data_directory, algosat.runtime_directory)
    halts.record(journal, scope, now(), operator(), reason, cancel=cancel, flatten=flatten)


@command.command()
@click.option("--scope", default="all", show_default=True, help="all, account:NAME, or a strategy.")
@with_directory
@click.pass_obj
def resume(chosen: Chosen, scope: str) -> None:
    """End a halt."""
    from algosat.domain.scope import IN_HALTS, Scope
    from algosat.trading import halts

    covered = Scope.named(scope, IN_HALTS)
    with chosen.desks() as desks:
        desk, *others = desks.in_scope(covered)
        was_halted = halts.resume_trading(desk, operator(), scope=covered, others=others)
    click.echo("resumed" if was_halted else "was not halted")


@command.command()
@with_directory
@click.pass_obj
def status(chosen: Chosen) -> None:
    """Print `halted` or `trading`, then each halt: scope, time, who, reason."""
    from algosat.domain.scope import ACCOUNT, IN_HALTS
    from algosat.trading import halts

    with chosen.desks() as desks, desks.first.database.read() as connection:
        in_force = [*halts.all_in_force(connection), *halts.recorded(connection, desks.first)]
    click.echo("halted" if any(each.scope == ACCOUNT for each in in_force) else "trading")
    for each in in_force:
        click.echo(row(each.scope.name(IN_HALTS), f"{each.at:%Y-%m-%dT%H:%M:%SZ}", each.actor, each.reason))


@command.group(name="pnl-exit")
def pnl_exit() -> None:
    """Close a strategy when its profit or loss of the day reaches an amount."""


_STRATEGYS_ACCOUNT = click.option(
    "--account", metavar="NAME", help="Account; the one on which the strategy trades by default."
)


@pnl_exit.command(name="set")
@click.argument("strategy")
@_STRATEGYS_ACCOUNT
@click.option("--profit", help="Profit of the day, charges included, at which the strategy is closed.")
@click.option("--loss", help="Loss of the day, charges included, at which the strategy is closed.")
@with_directory
@click.pass_obj
def set_pnl_exit(
    chosen: Chosen, strategy: str, account: str | None, profit: str | None, loss: str | None
) -> None:
    """Set the P&L exit of STRATEGY: it is halted for the day and its positions are closed."""
    from algosat.live import manage
    from algosat.trading import pnl_exits

    amounts = (_amount("--profit", profit), _amount("--loss", loss))
    with chosen.desks() as desks:
        pnl_exits.set_pnl_exit(manage.desk_for(desks, strategy, account), strategy, *amounts, operator())
    click.echo("set")


@pnl_exit.command(name="remove")
@click.argument("strategy")
@_STRATEGYS_ACCOUNT
@with_directory
@click.pass_obj
def remove_pnl_exit(chosen: Chosen, strategy: str, account: str | None) -> None:
    """Remove the P&L exit of STRATEGY. A halt that it caused stays."""
    from algosat.live import manage
    from algosat.trading import pnl_exits

    with chosen.desks() as desks:
        pnl_exits.remove_pnl_exit(manage.desk_for(desks, strategy, account), strategy, operator())
    click.echo("removed")


@pnl_exit.command(name="list")
@with_account
@with_directory
@click.pass_obj
def list_pnl_exits(chosen: Chosen, account: str | None) -> None:
    """Print the P&L exits: strategy, profit target, loss limit, day on which one was reached, which one."""
    from algosat.store import pnl_exits

    with chosen.desk(account) as desk, desk.database.read() as connection:
        found = pnl_exits.all_of(connection, desk.account)
    for each in found:
        values = (each.profit_target, each.loss_limit, each.reached_on, each.outcome)
        click.echo("\t".join((each.strategy, *("-" if value is None else str(value) for value in values))))


def _amount(option: str, text: str | None) -> Decimal | None:
    """Return the amount of an option. Raises BadParameter if it is not one."""
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not (amount.is_finite() and 0 < amount < _MOST):
        raise click.BadParameter(f"{text!r} is not an amount above 0", param_hint=option)
    return amount
