"""`algosat user`: the users of the API."""

from __future__ import annotations

import sys

import click

from algosat.cli.base import Chosen, operator, with_directory
from algosat.security.principals import Role

_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of standard input."
)


@click.group()
def command() -> None:
    """Add, list and change users."""


@command.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--if-missing", is_flag=True, help="Leave an existing user unchanged.")
@_password_option
@with_directory
@click.pass_obj
def add(chosen: Chosen, name: str, role: str, if_missing: bool, password_stdin: bool) -> None:
    """Add the user NAME. Prints `created` or `exists`."""
    from algosat import clock
    from algosat.security import users
    from algosat.security.passwords import Passwords, require_strong

    users.require_name(name)
    with chosen.writer() as (database, writer):
        with database.read() as connection:
            known = users.find(connection, name)
        if known is not None and if_missing:
            click.echo("exists")
            return
        password = _password(password_stdin)
        require_strong(password, name)
        hashed = Passwords().hash(password)
        writer.run(
            lambda connection: users.add(connection, name, hashed, Role(role), clock.now(), operator())
        )
    click.echo("created")


@command.command("list")
@with_directory
@click.pass_obj
def list_users(chosen: Chosen) -> None:
    """Print every user with role and state."""
    from algosat.security import users

    with chosen.writer() as (database, _), database.read() as connection:
        for user in users.everybody(connection):
            click.echo(f"{user.username}\t{user.role}\t{'disabled' if user.disabled else 'active'}")


@command.command()
@click.argument("name")
@_password_option
@with_directory
@click.pass_obj
def passwd(chosen: Chosen, name: str, password_stdin: bool) -> None:
    """Set a new password for the user NAME. All login sessions of the user end."""
    from algosat import clock
    from algosat.security import users
    from algosat.security.passwords import Passwords, require_strong

    with chosen.writer() as (database, writer):
        with database.read() as connection:
            users.get(connection, name)
        password = _password(password_stdin)
        require_strong(password, name)
        hashed = Passwords().hash(password)
        writer.run(lambda connection: users.set_password(connection, name, hashed, clock.now(), operator()))
    click.echo("changed")


@command.command()
@click.argument("name")
@with_directory
@click.pass_obj
def disable(chosen: Chosen, name: str) -> None:
    """Disable the user NAME. All login sessions of the user end."""
    _set_disabled(chosen, name, disabled=True)
    click.echo("disabled")


@command.command("end-sessions")
@click.argument("name", required=False)
@with_directory
@click.pass_obj
def end_sessions(chosen: Chosen, name: str | None) -> None:
    """End all login sessions of the user NAME, or of everybody. A restore does the latter."""
    from algosat import clock
    from algosat.security import users

    with chosen.writer() as (_, writer):
        ended = writer.run(lambda connection: users.end_sessions(connection, name, clock.now(), operator()))
    click.echo(f"{ended} sessions ended")


@command.command()
@click.argument("name")
@with_directory
@click.pass_obj
def enable(chosen: Chosen, name: str) -> None:
    """Enable the user NAME."""
    _set_disabled(chosen, name, disabled=False)
    click.echo("enabled")


def _set_disabled(chosen: Chosen, name: str, *, disabled: bool) -> None:
    from algosat import clock
    from algosat.security import users

    with chosen.writer() as (_, writer):
        writer.run(lambda connection: users.set_disabled(connection, name, disabled, clock.now(), operator()))


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
