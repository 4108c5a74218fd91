"""`algosat close`: list and withdraw closes on the server, without the API."""

from __future__ import annotations

import click

from algosat.cli.base import Chosen, operator, with_account, with_directory
from algosat.cli.safe_output import row

_MOST = 1000


@click.group()
def command() -> None:
    """List and withdraw closes."""


@command.command(name="list")
@click.option("--all", "finished_too", is_flag=True, help="Finished closes also.")
@with_account
@with_directory
@click.pass_obj
def list_closes(chosen: Chosen, finished_too: bool, account: str | None) -> None:
    """Print closes under way, newest first, each with its lines: symbol, product, strategy, state, reason."""
    from algosat.trading import close_records

    with chosen.desk(account) as desk, desk.database.read() as connection:
        wanted = None if finished_too else False
        found, _ = close_records.page(connection, desk.account, limit=_MOST, cursor=None, is_finished=wanted)
    for each in found:
        click.echo(f"{each.id}\t{each.created_at:%Y-%m-%dT%H:%M:%SZ}\t{each.actor}\t{each.state}")
        for line in each.lines:
            values = (line.symbol, line.product, line.strategy or "-", line.state, line.detail)
            click.echo(row("", *values))


@command.command()
@click.argument("close_id", metavar="ID")
@with_directory
@click.pass_obj
def withdraw(chosen: Chosen, close_id: str) -> None:
    """Stop following the close ID. Its working exits stay; cancel them with DELETE /orders/ID."""
    from algosat.trading import close, close_records

    with chosen.desks() as desks:
        with desks.first.database.read() as connection:
            desk = desks.of(close_records.get(connection, close_id).account)
        close.withdraw(desk, close_id, operator())
    click.echo("withdrawn")
