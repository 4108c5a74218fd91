"""`algosat config`: check and show the configuration files."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from algosat.cli.base import Chosen, with_directory


@click.group()
def command() -> None:
    """Check and show the configuration."""


@command.command()
@with_directory
@click.option(
    "--in-force",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the configuration in use: fail if its keys are newer.",
)
@click.pass_obj
def check(chosen: Chosen, in_force: Path | None) -> None:
    """Exit with 0 if both files are valid, else with 1 and one message with every problem."""
    from algosat.api import all_routes
    from algosat.config import succession

    settings = chosen.settings()
    all_routes.require_valid(settings.security.access_control)
    if in_force is not None:
        succession.require_newer_keys(settings, in_force)
    click.echo(f"{chosen.directory}: valid for the environment {settings.algosat.environment}")


@command.command()
@with_directory
@click.pass_obj
def show(chosen: Chosen) -> None:
    """Print every setting of the files; secrets are masked."""
    from algosat.config.summary import summarise

    sections = summarise(chosen.settings())
    values = {
        section: {key: each["value"] for key, each in entries.items()}
        for section, entries in sections.items()
    }
    click.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), nl=False)
