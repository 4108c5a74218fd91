"""`algosat engine`: the process that owns the brokers."""

from __future__ import annotations

from typing import Final

import click

from algosat.cli.base import Chosen, refusing, with_directory

MARKET_OPEN: Final = 5
UNDER_WAY: Final = 6


@click.group()
def command() -> None:
    """The trading engine."""


@command.command()
@with_directory
@click.pass_context
def run(context: click.Context) -> None:
    """Run the engine until it is told to stop."""
    with refusing(context):
        settings = context.obj.configured("engine")
        from algosat.engine.main import run as run_engine

        run_engine(settings)


@command.command()
@with_directory
@click.pass_context
def idle(context: click.Context) -> None:
    """Print what a restart would cut into now: open markets, and orders with a request under way.

    Exits with 0 when there is nothing, 5 when a market is open, 6 when it is only for the orders.
    """
    from algosat.clock import now
    from algosat.domain.calendar import calendar_for
    from algosat.store import queries, version
    from algosat.trading.interruption import on_their_way, open_markets

    chosen: Chosen = context.obj
    settings = chosen.settings().algosat
    with chosen.database() as database, database.read() as connection:
        version.require_current(database)
        instruments = queries.all_instruments(connection)
        orders = queries.working(connection, settings.broker)
    calendar = calendar_for(always_open=settings.paper.always_open)
    markets, under_way = list(open_markets(instruments, calendar, now())), list(on_their_way(orders))
    for reason in (*markets, *under_way):
        click.echo(reason)
    if markets:
        context.exit(MARKET_OPEN)
    context.exit(UNDER_WAY if under_way else 0)
