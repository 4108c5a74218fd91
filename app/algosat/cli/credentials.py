"""`algosat credentials`: the brokers' credentials, and new secrets for a vault."""

from __future__ import annotations

import base64
import json
import re
import secrets
import sys
from typing import TYPE_CHECKING, Final

import click
import yaml

from algosat.cli.base import Chosen, operator, with_account, with_directory

if TYPE_CHECKING:
    from datetime import datetime

    from algosat.security.credentials import BrokerLogin, CredentialField

# Without characters that are easily confused when typed.
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@click.group()
def command() -> None:
    """Set, list and delete the brokers' credentials, and generate secrets for a vault."""


@command.command()
def generate() -> None:
    """Print new secrets as YAML for the vault of an inventory."""
    made = {
        "vault_algosat_security_secret_key": secrets.token_urlsafe(64),
        "vault_algosat_encryption_keys": [base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()],
        "vault_algosat_admin_password": "".join(secrets.choice(_LETTERS) for _ in range(24)),
    }
    click.echo(yaml.safe_dump(made, sort_keys=False), nl=False)


@command.command("set")
@click.argument("fields", nargs=-1, metavar="[FIELD]...")
@click.option(
    "--stdin", "from_stdin", is_flag=True, help='Read JSON from standard input: {"FIELD": "VALUE"}.'
)
@click.option("--expires", metavar="TIME", help="When the fields are deleted: ISO 8601 with its UTC offset.")
@with_account
@with_directory
@click.pass_obj
def set_fields(
    chosen: Chosen, fields: tuple[str, ...], from_stdin: bool, expires: str | None, account: str | None
) -> None:
    """Set fields of the credentials of an account's broker. Other fields stay as they are.

    Each FIELD is asked for without showing what is typed. Values are never arguments, which other users of
    the machine can read.
    """
    from algosat import clock
    from algosat.security import credentials
    from algosat.security.credentials import NewValue
    from algosat.security.keyring import Keyring

    if from_stdin == bool(fields):
        raise click.UsageError("name the fields, or use --stdin")
    expires_at = None if expires is None else _time(expires)
    login, now = _login(chosen, account), clock.now()
    values = _from_stdin() if from_stdin else _asked_for(fields)
    new = {_checked(name): NewValue(value, expires_at) for name, value in values.items()}
    keyring = Keyring(chosen.settings().security.encryption.keys)
    with chosen.writer() as (_, writer):
        writer.run(
            lambda connection: credentials.put(
                connection, keyring, login, new, now, operator(), keep_others=True
            )
        )
    click.echo(f"set {', '.join(sorted(new))} of {login}, encrypted with key {keyring.fingerprint()}")


@command.command("list")
@with_directory
@click.pass_obj
def list_fields(chosen: Chosen) -> None:
    """Print every stored field without its value: login, field, key, set at, set by and expiry."""
    from algosat import clock
    from algosat.security import credentials

    with chosen.writer() as (database, _), database.read() as connection:
        for each in credentials.listed(connection, clock.now()):
            click.echo("\t".join((str(each.login), each.field, each.key, *_times(each))))


@command.command()
@click.option("--masked", is_flag=True, default=True, help="Show the ends of long values only, as always.")
@with_account
@with_directory
@click.pass_obj
def show(chosen: Chosen, masked: bool, account: str | None) -> None:  # noqa: ARG001 - there is no other form
    """Print the fields of an account's credentials, each with its value masked: `ab****yz`."""
    from algosat import clock
    from algosat.security import credentials
    from algosat.security.keyring import Keyring

    login, keyring = _login(chosen, account), Keyring(chosen.settings().security.encryption.keys)
    with chosen.writer() as (database, _), database.read() as connection:
        found = credentials.values(connection, keyring, login, clock.now())
    for field, value in found.items():
        click.echo(f"{field}\t{credentials.masked(value)}")


@command.command()
@click.argument("field", required=False)
@with_account
@with_directory
@click.pass_obj
def delete(chosen: Chosen, field: str | None, account: str | None) -> None:
    """Delete FIELD of an account's credentials, or all fields."""
    from algosat import clock
    from algosat.security import credentials

    login = _login(chosen, account)
    with chosen.writer() as (_, writer):
        writer.run(lambda connection: credentials.remove(connection, login, clock.now(), operator(), field))
    click.echo(f"deleted {field or 'all fields'} of {login}")


def _login(chosen: Chosen, account: str | None) -> BrokerLogin:
    from algosat.errors import NotFound
    from algosat.security.credentials import BrokerLogin

    accounts = chosen.settings().algosat.accounts
    for each in accounts:
        if account in (None, each.name):
            return BrokerLogin.of(each)
    raise NotFound(f"there is no account {account}: {', '.join(each.name for each in accounts)}")


def _asked_for(fields: tuple[str, ...]) -> dict[str, str]:
    return {_checked(name): click.prompt(name, hide_input=True, confirmation_prompt=True) for name in fields}


def _from_stdin() -> dict[str, str]:
    try:
        found = json.load(sys.stdin, object_pairs_hook=_without_repetition)
    except ValueError:  # its message would show what it has read
        found = None
    if not isinstance(found, dict) or not all(isinstance(each, str) and each for each in found.values()):
        raise click.UsageError('standard input is not JSON like {"api_key": "VALUE"}')
    return found


def _without_repetition(pairs: list[tuple[str, str]]) -> dict[str, str]:
    if len(dict(pairs)) < len(pairs):
        raise click.UsageError("standard input has a field twice")
    return dict(pairs)


def _checked(name: str) -> str:
    from algosat.security.credentials import FIELD_FORM

    if not re.fullmatch(FIELD_FORM, name):
        raise click.BadParameter("a field has 1 to 64 letters, digits and . _ -, and begins with a letter")
    return name


def _time(text: str) -> datetime:
    from datetime import datetime

    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise click.BadParameter(f"{text!r} is not like 2026-11-30T09:15:00+05:30", param_hint="--expires")
    return at


def _times(stored: CredentialField) -> tuple[str, str, str]:
    expires_at = "-" if stored.expires_at is None else stored.expires_at.isoformat()
    return stored.set_at.isoformat(), stored.set_by, expires_at
