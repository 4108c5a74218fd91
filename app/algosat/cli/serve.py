"""`algosat serve`: the API, by gunicorn."""

from __future__ import annotations

import click

from algosat.cli.base import Chosen, refusing, with_directory


@click.command()
@with_directory
@click.pass_context
def command(context: click.Context) -> None:
    """Serve the API on the settings' address, or on the socket that systemd hands over."""
    chosen: Chosen = context.obj
    with refusing(context):
        settings = chosen.configured("api")
        from algosat.api.server import Server
        from algosat.app import build_on, lay_ground, make_ready

        ground = lay_ground(settings)
        make_ready(ground)
    Server(settings, lambda: build_on(ground, chosen.directory)).run()
