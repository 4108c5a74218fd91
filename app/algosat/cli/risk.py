"""`algosat risk`: halt and resume trading on the server, without API or broker."""

from __future__ import annotations

import click

from algosat.cli.base import Chosen, operator, with_directory


@click.group()
def command() -> None:
    """Halt and resume trading."""


@command.command()
@click.option("--reason", required=True, help="Reason, for the audit trail and the other users.")
@click.option("--cancel/--no-cancel", default=True, show_default=True, help="Cancel working orders.")
@click.option("--flatten", is_flag=True, help="Also close all positions.")
@click.option("--scope", default="all", show_default=True, help="Name of a strategy, or all.")
@with_directory
@click.pass_obj
def halt(chosen: Chosen, reason: str, cancel: bool, flatten: bool, scope: str) -> None:
    """Deny new orders, except reduce-only ones, and cancel working orders."""
    from algosat.domain.scope import IN_HALTS, Scope
    from algosat.trading import halts

    with chosen.desk() as desk:
        halts.halt_trading(
            desk,
            operator(),
            reason,
            scope=Scope.named(scope, IN_HALTS),
            cancel_orders=cancel,
            flatten=flatten,
        )
    click.echo("halted")


@command.command()
@click.option("--scope", default="all", show_default=True, help="Name of a strategy, or all.")
@with_directory
@click.pass_obj
def resume(chosen: Chosen, scope: str) -> None:
    """End a halt."""
    from algosat.domain.scope import IN_HALTS, Scope
    from algosat.trading import halts

    with chosen.desk() as desk:
        was_halted = halts.resume_trading(desk, operator(), scope=Scope.named(scope, IN_HALTS))
    click.echo("resumed" if was_halted else "was not halted")


@command.command()
@with_directory
@click.pass_obj
def status(chosen: Chosen) -> None:
    """Print `halted` or `trading`, then each halt: scope, time, who, reason."""
    from algosat.domain.scope import ACCOUNT, IN_HALTS
    from algosat.trading import halts

    with chosen.writer() as (database, _), database.read() as connection:
        in_force = halts.in_force(connection)
    click.echo("halted" if any(each.scope == ACCOUNT for each in in_force) else "trading")
    for each in in_force:
        click.echo(f"{each.scope.name(IN_HALTS)}\t{each.at:%Y-%m-%dT%H:%M:%SZ}\t{each.actor}\t{each.reason}")
