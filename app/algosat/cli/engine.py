"""`algosat engine`: the process that owns the brokers."""

from __future__ import annotations

import click

from algosat.cli.base import REFUSED_SETTINGS, Chosen, with_directory
from algosat.errors import ConfigurationError


@click.group()
def command() -> None:
    """The trading engine."""


@command.command()
@with_directory
@click.pass_context
def run(context: click.Context) -> None:
    """Run the engine until it is told to stop."""
    chosen: Chosen = context.obj
    try:
        settings = chosen.settings()
        # Before anything imports the metrics: they look once where to write.
        from algosat.monitoring import logs, multiprocess

        multiprocess.share(settings.algosat.runtime_directory)
        logs.configure(settings.algosat.logging, "engine")
        from algosat.engine.main import run as run_engine

        run_engine(settings)
    except ConfigurationError as error:
        click.echo(f"algosat: {error.detail}", err=True)
        context.exit(REFUSED_SETTINGS)
