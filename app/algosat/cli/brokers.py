"""`algosat broker`: ask the brokers of the accounts, through the running engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from algosat.cli.base import Chosen, operator, with_directory

if TYPE_CHECKING:
    from algosat.trading.desk import Desk
    from algosat.trading.engine_requests import EngineRequests


@click.group()
def command() -> None:
    """Ask the brokers of the accounts. The engine must run."""


@command.command()
@click.option("--account", help="Account; the first one by default.")
@with_directory
@click.pass_obj
def session(chosen: Chosen, account: str | None) -> None:
    """Print whether the broker session is active, when it ends, and its state in a sentence."""
    from algosat.trading.engine_requests import RequestKind

    with _asking(chosen, account) as (desk, requests):
        answer = requests.ask(RequestKind.SESSION, desk.account, {}, operator(), requests.poll_until_answered)
    state = "active" if answer["active"] else "inactive"
    click.echo("\t".join((desk.account, state, answer["expires_at"] or "-", answer["detail"])))


@contextmanager
def _asking(chosen: Chosen, account: str | None) -> Iterator[tuple[Desk, EngineRequests]]:
    from algosat import clock
    from algosat.store.encryption import Encryption
    from algosat.trading.engine_requests import EngineRequests

    encryption = Encryption(chosen.settings().security.encryption.keys)
    with chosen.desk(account) as desk:
        yield desk, EngineRequests(desk.database, desk.writer, desk.notifier, encryption, clock.now)
