"""`algosat broker`: ask the brokers of the accounts, through the running engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from algosat.cli.base import Chosen, operator, with_account, with_directory
from algosat.cli.safe_output import row

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
    click.echo(row(name, answer["state"], mode, answer["expires_at"] or "-", answer["detail"]))


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


@command.command()
@click.argument("symbol")
@click.option("--interval", default="1m", show_default=True, help="1m, 3m, 5m, 10m, 15m, 30m, 1h or 1d.")
@click.option("--since", required=True, help="Earliest start of a candle: ISO 8601 with its UTC offset.")
@click.option("--until", help="Candles start before this time; by default the current time.")
@with_account
@with_directory
@click.pass_obj
def candles(
    chosen: Chosen, symbol: str, interval: str, since: str, until: str | None, account: str | None
) -> None:
    """Print candles: start, open, high, low, close and volume, separated by tabs."""
    from algosat import clock
    from algosat.domain.bars import Interval
    from algosat.trading.engine_requests import CandlesWanted, RequestKind

    if interval not in list(Interval):
        raise click.BadParameter(f"{interval!r} is none of {', '.join(Interval)}", param_hint="--interval")
    end = clock.now() if until is None else _time("--until", until)
    wanted = CandlesWanted.between(symbol, Interval(interval), _time("--since", since), end)
    with _asking(chosen, account) as (_, ask):
        answer = ask(RequestKind.CANDLES, wanted.to_data())
    for each in answer:
        click.echo("\t".join(str(each[name]) for name in ("at", "open", "high", "low", "close", "volume")))


def _time(option: str, text: str) -> datetime:
    """Return the time of an option. Raises BadParameter if it is not a time or has no UTC offset."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise click.BadParameter(f"{text!r} is not like 2026-11-30T09:15:00+05:30", param_hint=option)
    return at


@contextmanager
def _asking(chosen: Chosen, account: str | None) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Open the store. Yields the account's name, and a function that asks its broker."""
    from algosat import clock
    from algosat.security.keyring import Keyring
    from algosat.trading.engine_requests import EngineRequests

    keyring = Keyring(chosen.settings().security.encryption.keys)
    with chosen.desk(account) as desk:
        requests = EngineRequests(desk.database, desk.writer, desk.notifier, keyring, clock.now)

        def ask(kind: RequestKind, arguments: Mapping[str, Any] | None = None) -> Any:
            wait = requests.poll_until_answered
            return requests.ask(kind, desk.account, arguments or {}, operator(), wait)

        yield desk.account, ask
