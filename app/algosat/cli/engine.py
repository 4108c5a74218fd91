"""`algosat engine`: the process that calls the brokers."""

from __future__ import annotations

import time
from typing import Final

import click

from algosat.cli.base import Chosen, refusing, with_directory

MARKET_OPEN: Final = 5
UNDER_WAY: Final = 6
_LOOK: Final = 0.05  # seconds


@click.group()
def command() -> None:
    """Run the trading engine, and check whether it may be restarted."""


@command.command()
@with_directory
@click.pass_context
def run(context: click.Context) -> None:
    """Run the engine until SIGTERM or SIGINT."""
    with refusing(context):
        settings = context.obj.configured("engine")
        from algosat.engine.main import run as run_engine

        run_engine(settings)


@command.command()
@click.option("--within", default=0.0, metavar="SECONDS", help="Wait this long for pending requests.")
@with_directory
@click.pass_context
def idle(context: click.Context, within: float) -> None:
    """Print what a restart would interrupt now: open markets, and orders with a pending request.

    Exits with 0 if there is nothing, 5 if a market is open, 6 if there are only such orders.
    """
    from algosat.store import schema_version
    from algosat.trading.activity import interruption
    from algosat.trading.live_calendar import calendar_of

    chosen: Chosen = context.obj
    settings = chosen.settings().algosat
    deadline = time.monotonic() + within
    with chosen.database() as database:
        schema_version.require_current(database)
        accounts = [
            (each.name, each.venue, calendar_of(settings, each, database)) for each in settings.accounts
        ]
        found = interruption(database, accounts)
        while found.under_way and not found.markets and time.monotonic() < deadline:
            time.sleep(_LOOK)
            found = interruption(database, accounts)
    for reason in (*found.markets, *found.under_way):
        click.echo(reason)
    if found.markets:
        context.exit(MARKET_OPEN)
    context.exit(UNDER_WAY if found.under_way else 0)
