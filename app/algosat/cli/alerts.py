"""`algosat alert`: list and acknowledge alerts on the server, without the API."""

from __future__ import annotations

import click

from algosat.cli import safe_output
from algosat.cli.base import Chosen, operator, with_directory

_MOST = 1000


@click.group()
def command() -> None:
    """List and acknowledge alerts."""


@command.command(name="list")
@click.option("--all", "closed_too", is_flag=True, help="Closed alerts also.")
@click.option("--account", metavar="NAME", help="Only alerts about this account; by default all.")
@with_directory
@click.pass_obj
def list_alerts(chosen: Chosen, closed_too: bool, account: str | None) -> None:
    """Print open alerts, newest first: id, time, severity, kind, subject, acknowledger, detail, account."""
    from algosat.store import queries

    with chosen.desks() as desks, desks.first.database.read() as connection:
        of_account = None if account is None else desks.of(account).account
        is_open = None if closed_too else True
        found = queries.alerts_page(connection, limit=_MOST, is_open=is_open, account=of_account)
    for row in found.rows:
        values = (row.severity, row.kind, row.subject, row.acknowledged_by or "-", row.detail, row.account)
        click.echo(safe_output.row(row.id, f"{row.opened_at:%Y-%m-%dT%H:%M:%SZ}", *values))


@command.command()
@click.argument("alert_id", metavar="ID", type=click.IntRange(min=1))
@with_directory
@click.pass_obj
def acknowledge(chosen: Chosen, alert_id: int) -> None:
    """Acknowledge the alert ID."""
    from algosat.trading import alerts

    with chosen.desk() as desk:
        row = desk.writer.run(lambda connection: alerts.acknowledge(connection, desk, alert_id, operator()))
    click.echo(f"acknowledged by {row.acknowledged_by}; " + ("open" if row.closed_at is None else "closed"))
