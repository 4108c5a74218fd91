"""`algosat account`: list the accounts, and arm live ones, without the API."""

from __future__ import annotations

import click

from algosat.cli.base import Chosen, operator, with_directory

_REASON = click.option("--reason", required=True, help="Reason, for the audit trail.")


@click.group()
def command() -> None:
    """List the accounts, and arm live ones."""


@command.command(name="list")
@with_directory
@click.pass_obj
def list_accounts(chosen: Chosen) -> None:
    """Print each account: name, PAPER or LIVE, currency, armed, exits_only or read_only."""
    from algosat.trading.arming import arming

    with chosen.desks() as desks, desks.first.database.read() as connection:
        for desk in desks:
            click.echo("\t".join((desk.account, desk.mode, desk.currency, arming(connection, desk).value)))


@command.command()
@click.argument("account")
@_REASON
@with_directory
@click.pass_obj
def arm(chosen: Chosen, account: str, reason: str) -> None:
    """Let the live ACCOUNT take orders, within the small limits that it starts with."""
    from algosat.trading import arming

    with chosen.desk(account) as desk:
        arming.arm(desk, reason, operator())
    click.echo("armed")


@command.command()
@click.argument("account")
@_REASON
@with_directory
@click.pass_obj
def disarm(chosen: Chosen, account: str, reason: str) -> None:
    """Let the live ACCOUNT take exits only. Working orders stay; a halt cancels them."""
    from algosat.trading import arming

    with chosen.desk(account) as desk:
        arming.disarm(desk, reason, operator())
    click.echo("disarmed")
