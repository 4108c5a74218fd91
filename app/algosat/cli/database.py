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
    from algosat.store.schema_version import find_versions

    with chosen.database() as database:
        before = find_versions(database)
        migrate.upgrade(database)
        after = find_versions(database)
    head = after.head if after else "none"
    if before is not None and before.head == head:
        click.echo(f"already at {head}")
    else:
        click.echo(f"upgraded from {before.head if before else 'none'} to {head}")


@command.command()
@with_directory
@click.pass_context
def current(context: click.Context) -> None:
    """Print the schema version of the store, then the one that this release needs.

    Exits with 0 if this release may run on the store, which a newer release may have upgraded; with 3 if an
    upgrade is needed; with 4 if a newer release has removed what this release uses.
    """
    from algosat.store.schema_version import HEAD, find_versions

    with context.obj.database() as database:
        is_there = database.path is None or database.path.exists()  # SQLite would create it
        found = find_versions(database) if is_there else None
    click.echo(f"{found.head if found else 'none'} {HEAD}")
    if found is not None and found.is_too_new:
        context.exit(NEWER)
    if found is None or found.is_behind:
        click.echo("to upgrade: algosat db upgrade", err=True)
        context.exit(BEHIND)
