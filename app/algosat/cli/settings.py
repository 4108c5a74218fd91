"""`algosat config`: check and show the configuration files."""

from __future__ import annotations

import os
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
    problems = list(machine_rules.of_keys(settings))
    if not elsewhere:
        problems += machine_rules.of_machine(settings)
    if problems:
        raise as_error(problems)
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


@command.command()
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@with_directory
@click.pass_obj
def redact(chosen: Chosen, target: Path) -> None:
    """Write both files to the directory TARGET, with a mask in place of each secret."""
    from algosat.config.redaction import redacted

    _write(target, redacted(chosen.settings()))


@command.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@with_directory
@click.pass_obj
def complete(chosen: Chosen, source: Path, target: Path) -> None:
    """Write the files of SOURCE, which `redact` has written, to TARGET with the secrets in use here."""
    from algosat.config.redaction import completed

    _write(target, completed(source, chosen.directory))


def _write(target: Path, texts: dict[str, str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (target / name).unlink(missing_ok=True)
        private = os.open(target / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(private, "w", encoding="utf-8") as file:
            file.write(text)
