"""`algosat store`: verify the store, take snapshots, restore one."""

from __future__ import annotations

from pathlib import Path

import click

from algosat.cli.base import Chosen, with_directory


@click.group()
def command() -> None:
    """Verify, copy and restore the store."""


@command.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@with_directory
@click.pass_context
def verify(context: click.Context, file: Path | None) -> None:
    """Replay every event and fill, and compare the result with the store. Exits with 1 if they differ.

    With FILE, verify that snapshot instead. Neither it nor the store is changed.
    """
    import algosat.brokers.paper.persistence  # noqa: F401 - declares its tables
    from algosat.store import schema_version
    from algosat.store.backup import store_snapshot as copies
    from algosat.store.verify import verify as proof

    with copies.opened(file, context.obj.database) if file else context.obj.database() as database:
        schema_version.require_current(database)
        with database.read() as connection:
            result = proof.verify(connection)
    for finding in result.findings:
        click.echo(finding)
    outcome = "clean" if result.clean else f"{len(result.findings)} findings"
    click.echo(f"{result.events} events, {result.orders} orders, {result.trades} trades: {outcome}")
    context.exit(0 if result.clean else 1)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_directory
@click.pass_obj
def snapshot(chosen: Chosen, file: Path) -> None:
    """Copy the store to FILE as it is at one moment, while all services continue."""
    from algosat.store.backup import store_snapshot as copies

    with chosen.database() as database:
        copies.take(database, file)
    click.echo(str(file))


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_directory
@click.pass_obj
def restore(chosen: Chosen, file: Path) -> None:
    """Replace the store by the snapshot FILE. API and engine must be stopped.

    A damaged or foreign file is refused before anything is changed.
    """
    from algosat.store.backup import store_snapshot as copies

    with chosen.database() as database:
        copies.restore(database, file)
    click.echo(f"restored from {file}")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
def inspect(file: Path) -> None:
    """Print the schema version of the snapshot FILE.

    Exits with 1 if the file is damaged, foreign, or newer than this release.
    """
    from algosat.store.backup import store_snapshot as copies

    click.echo(copies.inspect(file))
