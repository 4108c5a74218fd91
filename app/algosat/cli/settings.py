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
@click.option(
    "--elsewhere",
    is_flag=True,
    help="The files are for another machine: do not look for their directories and addresses here.",
)
@click.pass_obj
def check(chosen: Chosen, in_force: Path | None, elsewhere: bool) -> None:
    """Exit with 0 if both files are valid and this machine has what they name, else with 1 and every problem.

    A database server is not asked: services wait for it.
    """
    from algosat.api import all_routes
    from algosat.config import machine_rules, succession
    from algosat.config.problems import as_error

    settings = chosen.settings()
    if not elsewhere and (missing := list(machine_rules.of_machine(settings))):
        raise as_error(missing)
    all_routes.require_valid(settings.security.access_control)
    if in_force is not None:
        succession.require_newer_keys(settings, in_force)
    click.echo(f"{chosen.directory}: valid for the environment {settings.algosat.environment}")


@command.command()
@with_directory
@click.option(
    "--in-force",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the configuration in use.",
)
@click.pass_obj
def changes(chosen: Chosen, in_force: Path) -> None:
    """Print what differs from the configuration in use, one a line: `live` or `restart`, and the setting.

    `systemctl reload algosat` takes over the live ones; the services must restart to use the others.
    """
    from algosat.config.loader import load
    from algosat.config.reload import difference

    found = difference(load(in_force), chosen.settings())
    for kind, names in (("live", found.live), ("restart", found.needs_restart)):
        for name in names:
            click.echo(f"{kind}\t{name}")


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
