"""`algosat db`: the store's schema."""

from __future__ import annotations

from typing import Final

import click

from algosat.cli.base import Chosen, with_directory

BEHIND: Final = 3
NEWER: Final = 4


@click.group()
def command() -> None:
    """The schema of the store."""


@command.command()
@with_directory
@click.pass_obj
def upgrade(chosen: Chosen) -> None:
    """Bring the store to this release's schema; does nothing when it is there already."""
    from algosat.store import migrate

    with chosen.database() as database:
        before = migrate.current(database)
        migrate.upgrade(database)
        after = migrate.current(database)
    click.echo(f"at {after} already" if before == after else f"upgraded from {before or 'none'} to {after}")


@command.command()
@with_directory
@click.pass_context
def current(context: click.Context) -> None:
    """Print the schema the store is at, and the one this release needs.

    Exits with 0 when they are the same, 3 when an upgrade is due, 4 when the store is newer.
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
        click.echo("to bring it there: algosat db upgrade", err=True)
        context.exit(BEHIND)
