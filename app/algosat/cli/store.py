"""`algosat store`: proof that it is whole, copies of it, and their way back."""

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
    """Replay every event and fill, and compare with what the store says. Exits with 1 when they differ.

    With FILE it is that snapshot which is proven; neither it nor the store is touched.
    """
    import algosat.brokers.paper.persistence  # noqa: F401 - declares its tables
    from algosat.store import schema_version
    from algosat.store.backup import store_snapshot as copies
    from algosat.store.verify import verify as proof

    with copies.opened(file, context.obj.database) if file else context.obj.database() as database:
        schema_version.require_current(database)
        with database.read() as connection:
            verdict = proof.verify(connection)
    for finding in verdict.findings:
        click.echo(finding)
    outcome = "clean" if verdict.clean else f"{len(verdict.findings)} findings"
    click.echo(f"{verdict.events} events, {verdict.orders} orders, {verdict.trades} trades: {outcome}")
    context.exit(0 if verdict.clean else 1)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_directory
@click.pass_obj
def snapshot(chosen: Chosen, file: Path) -> None:
    """Copy the store to FILE, whole and as it is at one moment, while everybody goes on working."""
    from algosat.store.backup import store_snapshot as copies

    with chosen.database() as database:
        copies.take(database, file)
    click.echo(str(file))


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_directory
@click.pass_obj
def restore(chosen: Chosen, file: Path) -> None:
    """Put the snapshot FILE in the store's place. API and engine must be stopped.

    A file that is damaged or not a store of ours is refused before anything is touched.
    """
    from algosat.store.backup import store_snapshot as copies

    with chosen.database() as database:
        copies.restore(database, file)
    click.echo(f"restored from {file}")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
def inspect(file: Path) -> None:
    """Print the schema version of the snapshot FILE, without touching the store.

    Exits with 1 when it is damaged, not a store of ours, or newer than this release.
    """
    from algosat.store.backup import store_snapshot as copies

    click.echo(copies.inspect(file))
