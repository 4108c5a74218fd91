"""`algosat risk`: the kill switch, from the server itself. It needs neither API nor broker."""

from __future__ import annotations

import click

from algosat.cli.base import Chosen, operator, with_directory


@click.group()
def command() -> None:
    """Halt and resume trading."""


@command.command()
@click.option("--reason", required=True, help="For the audit trail, and for whoever finds it halted.")
@click.option("--cancel/--no-cancel", default=True, show_default=True, help="Cancel working orders.")
@click.option("--flatten", is_flag=True, help="Close all positions too.")
@click.option("--scope", default="all", show_default=True, help="A strategy's name, or all.")
@with_directory
@click.pass_obj
def halt(chosen: Chosen, reason: str, cancel: bool, flatten: bool, scope: str) -> None:
    """Let nothing new pass. Orders that reduce a position still do."""
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
@click.option("--scope", default="all", show_default=True, help="A strategy's name, or all.")
@with_directory
@click.pass_obj
def resume(chosen: Chosen, scope: str) -> None:
    """Let orders pass again."""
    from algosat.domain.scope import IN_HALTS, Scope
    from algosat.trading import halts

    with chosen.desk() as desk:
        was_halted = halts.resume_trading(desk, operator(), scope=Scope.named(scope, IN_HALTS))
    click.echo("resumed" if was_halted else "was not halted")


@command.command()
@with_directory
@click.pass_obj
def status(chosen: Chosen) -> None:
    """Print `halted` or `trading`, and what is halted, since when, by whom and why."""
    from algosat.domain.scope import ACCOUNT, IN_HALTS
    from algosat.trading import halts

    with chosen.writer() as (database, _), database.read() as connection:
        in_force = halts.in_force(connection)
    click.echo("halted" if any(each.scope == ACCOUNT for each in in_force) else "trading")
    for each in in_force:
        click.echo(f"{each.scope.name(IN_HALTS)}\t{each.at:%Y-%m-%dT%H:%M:%SZ}\t{each.actor}\t{each.reason}")
