"""`algosat serve`: the API, by gunicorn."""

from __future__ import annotations

import click

from algosat.cli.base import REFUSED_SETTINGS, Chosen, with_directory
from algosat.errors import ConfigurationError


@click.command()
@with_directory
@click.pass_context
def command(context: click.Context) -> None:
    """Serve the API on the settings' address, or on the socket that systemd hands over."""
    chosen: Chosen = context.obj
    try:
        settings = chosen.settings()
        # Before anything imports the metrics: they look once where to write.
        from algosat.monitoring import logs, multiprocess

        multiprocess.share(settings.algosat.runtime_directory)
        logs.configure(settings.algosat.logging, "api")
        from algosat.api.server import Server
        from algosat.app import create_app, require_startable

        require_startable(settings)
    except ConfigurationError as error:
        click.echo(f"algosat: {error.detail}", err=True)
        context.exit(REFUSED_SETTINGS)
    Server(settings, lambda: create_app(settings, chosen.directory)).run()
