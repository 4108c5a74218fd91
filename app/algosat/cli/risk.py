"""`algosat risk`: halt and resume trading on the server, without API or broker."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

import click

from algosat.cli.base import Chosen, operator, with_account, with_directory

_MOST: Final = 10_000_000_000


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
    from algosat.domain.scope import IN_HALTS, Scope
    from algosat.trading import halts

    covered = Scope.named(scope, IN_HALTS)
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
    click.echo("halted")


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

    with chosen.writer() as (database, _), database.read() as connection:
        in_force = halts.all_in_force(connection)
    click.echo("halted" if any(each.scope == ACCOUNT for each in in_force) else "trading")
    for each in in_force:
        click.echo(f"{each.scope.name(IN_HALTS)}\t{each.at:%Y-%m-%dT%H:%M:%SZ}\t{each.actor}\t{each.reason}")


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
