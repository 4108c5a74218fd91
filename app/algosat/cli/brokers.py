"""`algosat broker`: ask the brokers of the accounts, through the running engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from algosat.cli.base import Chosen, operator, with_account, with_directory

if TYPE_CHECKING:
    from algosat.trading.engine_requests import RequestKind


@click.group()
def command() -> None:
    """Ask the brokers of the accounts. The engine must run."""


@command.command()
@with_account
@with_directory
@click.pass_obj
def session(chosen: Chosen, account: str | None) -> None:
    """Print account, session state, PAPER or LIVE, expiry of the session, and details, separated by tabs."""
    from algosat.trading.engine_requests import RequestKind

    with _asking(chosen, account) as (name, ask):
        answer = ask(RequestKind.SESSION)
    mode = "LIVE" if answer["capabilities"]["is_live"] else "PAPER"
    click.echo("\t".join((name, answer["state"], mode, answer["expires_at"] or "-", answer["detail"])))


@command.command()
@with_account
@with_directory
@click.pass_obj
def probe(chosen: Chosen, account: str | None) -> None:
    """Make every call to the broker that changes nothing, and print a transcript as JSON.

    The transcript has the form of the answers without their content: it can be sent to others.
    """
    import json

    from algosat.trading.engine_requests import RequestKind

    with _asking(chosen, account) as (_, ask):
        transcript = ask(RequestKind.PROBE)
    click.echo(json.dumps(transcript, indent=2))


@contextmanager
def _asking(chosen: Chosen, account: str | None) -> Iterator[tuple[str, Callable[[RequestKind], Any]]]:
    """Open the store. Yields the account's name, and a function that asks its broker."""
    from algosat import clock
    from algosat.store.encryption import Encryption
    from algosat.trading.engine_requests import EngineRequests

    encryption = Encryption(chosen.settings().security.encryption.keys)
    with chosen.desk(account) as desk:
        requests = EngineRequests(desk.database, desk.writer, desk.notifier, encryption, clock.now)
        yield (
            desk.account,
            lambda kind: requests.ask(kind, desk.account, {}, operator(), requests.poll_until_answered),
        )
