"""`algosat serve`: the API, served by gunicorn."""

from __future__ import annotations

import click

from algosat.cli.base import Chosen, starting, with_directory


@click.command()
@with_directory
@click.pass_context
def command(context: click.Context) -> None:
    """Serve the API on the address of the settings, or on the socket that systemd passes."""
    chosen: Chosen = context.obj
    with starting(context):
        settings = chosen.configured("api")
        from algosat.api.server import Server
        from algosat.app import create_app, preload

        preloaded = preload(settings)
    Server(settings, lambda: create_app(settings, chosen.directory, preloaded=preloaded)).run()
