"""The command line: `algosat COMMAND`. An error is one message that says what to do."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from algosat.cli.base import Chosen
from algosat.cli.safe_output import escaped, escaping
from algosat.errors import AlgosatError

# Module of each command; only the called command is imported.
_COMMANDS: Final = {
    "account": "accounts",
    "alert": "alerts",
    "backtest": "backtest",
    "book": "books",
    "broker": "brokers",
    "close": "closes",
    "config": "settings",
    "conversion": "conversions",
    "credentials": "credentials",
    "db": "database",
    "engine": "engine",
    "errors": "errors",
    "host": "host",
    "keyring": "keyring",
    "logs": "logs",
    "risk": "risk",
    "serve": "serve",
    "store": "store",
    "strategy": "strategy",
    "user": "users",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = import_module(f"algosat.cli.{module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # click suggests only commands that are loaded
            raise click.NoSuchCommand(error.command_name, possibilities=_COMMANDS, ctx=ctx) from None


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="algosat")
@click.option(
    "--config-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ALGOSAT_CONFIG_DIR",
    default=Path("/etc/algosat"),
    show_default=True,
    help="Directory of algosat.yaml and security.yaml.",
)
@click.pass_context
def cli(context: click.Context, config_dir: Path) -> None:
    """Algosat: a self-hosted trading server."""
    context.with_resource(escaping())
    context.obj = Chosen(config_dir)


def main() -> None:
    """Run the console script. Exit with 1 and one message for errors that the user can correct."""
    try:
        cli(prog_name="algosat")
    except AlgosatError as error:
        _end_with(error.detail)
    except Exception as error:
        message = _store_error(error)
        if message is None:
            raise
        _end_with(message)


def _end_with(message: str) -> None:
    click.echo(f"algosat: {escaped(message)}", err=True)
    sys.exit(1)


def _store_error(error: Exception) -> str | None:
    """Return the message for an error of the database driver; None for any other error."""
    from sqlalchemy.exc import DBAPIError

    if not isinstance(error, DBAPIError):
        return None
    return (
        f"the store does not answer: {str(error.orig).strip()}\n"
        "Check that its server runs (database.url), its disk has space, and this user may write to it"
    )
