"""`algosat db`: the store's schema."""

from __future__ import annotations

from typing import Final

import click

from algosat.cli.base import Chosen, with_directory

BEHIND: Final = 3
NEWER: Final = 4


@click.group()
def command() -> None:
    """Show and upgrade the schema of the store."""


@command.command()
@with_directory
@click.pass_obj
def upgrade(chosen: Chosen) -> None:
    """Upgrade the store to the schema of this release, if it is older."""
    from algosat.store import migrate

    with chosen.database() as database:
        before = migrate.current(database)
        migrate.upgrade(database)
        after = migrate.current(database)
    click.echo(f"already at {after}" if before == after else f"upgraded from {before or 'none'} to {after}")


@command.command()
@with_directory
@click.pass_context
def current(context: click.Context) -> None:
    """Print the schema version of the store, then the one that this release needs.

    Exits with 0 if they are equal, 3 if an upgrade is needed, 4 if the store is newer.
    """
    from algosat.store import migrate

    with context.obj.database() as database:
        is_there = database.path is None or database.path.exists()  # SQLite would create it
        found = migrate.current(database) if is_there else None
    head = migrate.head()
    click.echo(f"{found or 'none'} {head}")
    if found is not None and found not in migrate.known_versions():
        context.exit(NEWER)
    if found != head:
        click.echo("to upgrade: algosat db upgrade", err=True)
        context.exit(BEHIND)
