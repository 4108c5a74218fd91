"""`algosat engine`: the process that owns the brokers."""

from __future__ import annotations

import click

from algosat.cli.base import refusing, with_directory


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
