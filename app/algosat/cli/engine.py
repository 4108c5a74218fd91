"""`algosat engine`: the process that calls the brokers."""

from __future__ import annotations

import sys
import time
from typing import Final

import click

from algosat.cli.base import Chosen, starting, with_directory

MARKET_OPEN: Final = 5
UNDER_WAY: Final = 6
NOT_OWNED: Final = 7
_LOOK: Final = 0.05  # seconds


@click.group()
def command() -> None:
    """Run the engine, check whether it may be restarted, and adopt a store of another machine."""


@command.command()
@with_directory
@click.pass_context
def run(context: click.Context) -> None:
    """Run the engine until SIGTERM or SIGINT."""
    with starting(context):
        settings = context.obj.configured("engine")
        from algosat.engine.main import run as run_engine
        from algosat.host.reports import reporting

        with reporting(settings.algosat.runtime_directory, settings.algosat.data_directory):
            run_engine(settings, context.obj.settings)


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


@command.command()
@with_directory
@click.pass_context
def status(context: click.Context) -> None:
    """Print what the store is to this machine, and whether an engine leads on the store.

    Exits with 0, or with 7 if the store belongs to another machine: `engine adopt` takes it over.
    """
    from algosat import clock
    from algosat.domain.machine import StoreState, state_for
    from algosat.engine.main import this_machine
    from algosat.store import heartbeats, machines, schema_version

    chosen: Chosen = context.obj
    machine = this_machine(chosen.settings())
    with chosen.database() as database:
        schema_version.require_current(database)
        with database.read() as connection:
            owner, last = machines.owner(connection), heartbeats.read(connection, heartbeats.ENGINE)
    state = StoreState.UNCLAIMED if machine is None else state_for(machine, owner)
    click.echo(f"store\t{state}\t{'no machine' if owner is None else owner}")
    click.echo(f"machine\t{'has no id' if machine is None else machine}")
    if last is None:
        click.echo("engine\tnever ran")
    else:
        now = clock.now()
        waits = last.data.get(heartbeats.OTHER_MACHINE) and last.silence(now) <= heartbeats.SILENT_AFTER
        word = "leading" if last.leads(now) else "waiting" if waits else "down"
        click.echo(f"engine\t{word}\tled until {last.led_until:%Y-%m-%dT%H:%M:%SZ}")
    if state is StoreState.OTHER:
        click.echo("nothing is sent until you run: sudo algosat engine adopt")
        context.exit(NOT_OWNED)


@command.command()
@click.option("--reason", required=True, help="Reason, for the audit trail.")
@click.option("--user", "name", help="Name of an admin; asked for by default.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")
@click.option("--resume", is_flag=True, help="Also end the halt of all accounts.")
@with_directory
@click.pass_obj
def adopt(chosen: Chosen, reason: str, name: str | None, password_stdin: bool, resume: bool) -> None:
    """Take over the store of another machine, after an admin's password.

    Stop the engine of the other machine first: two engines on copies of one store would both trade.
    """
    from sqlalchemy import Connection

    from algosat import clock
    from algosat.config.live import LiveSettings
    from algosat.engine.main import this_machine
    from algosat.errors import ConfigurationError
    from algosat.monitoring import correlation
    from algosat.security.confirmation import run_confirmed
    from algosat.security.keyring import Keyring
    from algosat.security.login_attempts import LoginAttempts
    from algosat.security.passwords import Passwords
    from algosat.store import overrides
    from algosat.store.audit import Cause
    from algosat.trading import store_owner

    settings = chosen.settings()
    machine = this_machine(settings)
    if machine is None:
        raise ConfigurationError("this machine has no id in /etc/machine-id")
    with chosen.desks() as desks:
        database, writer = desks.first.database, desks.first.writer
        with database.read() as connection:
            owner = store_owner.require_adoptable(connection, desks.first, machine)
        click.echo(f"the store belongs to {owner}; this machine is {machine}", err=True)
        admin = name or click.prompt("Admin", err=True)
        password = (
            sys.stdin.readline().rstrip("\r\n")
            if password_stdin
            else click.prompt("Password", hide_input=True, err=True)
        )

        def unit(connection: Connection, cause: Cause) -> None:
            store_owner.adopt(connection, desks, machine, reason, cause, resume=resume)

        run_confirmed(
            database,
            LoginAttempts(
                writer,
                LiveSettings(settings, lambda: overrides.read(database)),
                Keyring(settings.security.encryption.keys),
            ),
            Passwords(),
            clock.now,
            (admin, password),
            correlation.new(),
            unit,
        )
        for desk in desks:
            desk.wake_engine()
    click.echo("adopted" if not resume else "adopted, trading resumed")
    if not resume:
        click.echo("trading is halted: look at orders and positions, then run: sudo algosat risk resume")
