"""`algosat keyring`: the keys that encrypt secrets in the store."""

from __future__ import annotations

from pathlib import Path

import click

from algosat.cli.base import with_directory


@click.group()
def command() -> None:
    """Show and rotate the keys that encrypt secrets in the store."""


@command.command()
@with_directory
@click.pass_context
def status(context: click.Context) -> None:
    """Print each key: fingerprint, how many values it opens, when it was used first, and its part.

    The part is `encrypts`, `decrypts`, or `missing` if values need a key that encryption.keys does not have.
    Exits with 1 if a key is missing or a value is damaged.
    """
    from algosat.security import encryption_keys
    from algosat.security.keyring import Keyring

    keyring = Keyring(context.obj.settings().security.encryption.keys)
    with context.obj.writer() as (database, _), database.read() as connection:
        usage = encryption_keys.usage(connection)
        first_uses = encryption_keys.first_uses(connection)
    missing = [each for each in usage.values if each not in keyring.fingerprints()]
    for fingerprint in (*keyring.fingerprints(), *missing):
        part = "missing" if fingerprint in missing else "decrypts"
        part = "encrypts" if fingerprint == keyring.fingerprint() else part
        since = first_uses[fingerprint].isoformat() if fingerprint in first_uses else "-"
        click.echo(f"{fingerprint}\t{usage.values[fingerprint]}\t{since}\t{part}")
    for place in usage.damaged:
        click.echo(f"damaged: {place}", err=True)
    context.exit(1 if missing or usage.damaged else 0)


@command.command()
@with_directory
@click.pass_context
def rotate(context: click.Context) -> None:
    """Encrypt the data key of every stored secret with the first key of encryption.keys.

    Run it once all services use the new configuration; it may be run again at any time. Old keys remain
    necessary for backups from before. Exits with 1 if a value could not be opened.
    """
    from algosat import clock
    from algosat.security import encryption_keys
    from algosat.security.keyring import Keyring

    keyring = Keyring(context.obj.settings().security.encryption.keys)
    with context.obj.writer() as (database, writer):
        outcome = encryption_keys.rotate(database, writer, keyring, clock.now())
    for reason in outcome.failed:
        click.echo(reason, err=True)
    click.echo(f"{outcome.rewrapped} values encrypted with key {keyring.fingerprint()} now")
    context.exit(1 if outcome.failed else 0)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_directory
@click.pass_context
def check(context: click.Context, file: Path) -> None:
    """Check that encryption.keys has every key that the snapshot FILE needs, and name those that it lacks.

    Exits with 1 if one is missing.
    """
    from algosat.security import encryption_keys
    from algosat.security.keyring import Keyring
    from algosat.store.backup import store_snapshot as copies

    keyring = Keyring(context.obj.settings().security.encryption.keys)
    with copies.opened(file, context.obj.database) as database, database.read() as connection:
        needed = encryption_keys.usage(connection).values
    missing = {each: number for each, number in needed.items() if each not in keyring.fingerprints()}
    for fingerprint, number in missing.items():
        click.echo(
            f"{number} secrets need the key {fingerprint}, which encryption.keys here lacks: add it "
            "to vault_algosat_encryption_keys behind the others, and deploy; or set these secrets again"
        )
    context.exit(1 if missing else 0)
