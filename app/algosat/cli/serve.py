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
        from algosat.config.live import LiveSettings
        from algosat.monitoring import logs

        preloaded = preload(settings)
        live = LiveSettings(settings, tuple, read=chosen.settings)  # each worker reads the overrides itself
        live.on_change(lambda changed: logs.set_level(changed.algosat.logging.level))
    Server(live, lambda: create_app(live.files, chosen.directory, preloaded=preloaded)).run()
