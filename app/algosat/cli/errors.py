"""`algosat errors`: the server's own errors, without the API."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from algosat.cli.base import Chosen, with_directory
from algosat.cli.safe_output import row
from algosat.errors import Component, ErrorSeverity

if TYPE_CHECKING:
    from algosat.resilience.error_analytics import ErrorAnalytics

_SEVERITIES: Final = [each.value for each in ErrorSeverity]
_COMPONENTS: Final = [each.value for each in Component]


@click.group()
def command() -> None:
    """List and analyse the errors of the server itself."""


@command.command(name="list")
@click.option(
    "--severity",
    type=click.Choice([each.value for each in ErrorSeverity]),
    help="Only errors of this severity.",
)
@click.option(
    "--component",
    type=click.Choice([each.value for each in Component]),
    help="Only errors of this component.",
)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@with_directory
@click.pass_obj
def list_errors(chosen: Chosen, severity: str | None, component: str | None, limit: int) -> None:
    """Print errors, latest first: last time, number, severity, component, code, place, message."""
    from algosat.resilience import error_store
    from algosat.store import schema_version

    with chosen.database() as database:
        schema_version.require_current(database)
        with database.read() as connection:
            found = error_store.latest(
                connection,
                limit=limit,
                severity=None if severity is None else ErrorSeverity(severity),
                component=None if component is None else Component(component),
            )
    for each in found:
        values = (each.count, each.severity, each.component, each.code, each.place, each.message)
        click.echo(row(f"{each.last_at:%Y-%m-%dT%H:%M:%SZ}", *values))


@command.command()
@click.option("--hours", default=24, show_default=True, type=click.IntRange(1, 168), help="Period up to now.")
@with_directory
@click.pass_obj
def analytics(chosen: Chosen, hours: int) -> None:
    """Print what the errors of a period show: trend, bursts, components, cost and recoveries."""
    from algosat import clock
    from algosat.resilience.error_analytics import read_analytics
    from algosat.store import schema_version

    with chosen.database() as database:
        schema_version.require_current(database)
        with database.read() as connection:
            found = read_analytics(connection, clock.now(), timedelta(hours=hours))
    for line in _lines(found):
        click.echo(line)


def _lines(found: ErrorAnalytics) -> list[str]:
    by_severity = ", ".join(f"{count} {severity}" for severity, count in found.by_severity.most_common())
    begin, before = f"{found.since:%Y-%m-%d %H:%M} UTC", f"{found.before} in the period before"
    lines = [f"{found.total} errors since {begin} ({by_severity or 'none'}), {before}"]
    lines += [f"component {component}: {count}" for component, count in found.by_component.most_common()]
    lines += [
        f"{count} times {each.code} at {each.place}: {each.message}" for each, count in found.most_frequent
    ]
    lines += [
        f"burst at {each.at:%H:%M} UTC: {each.count} times {each.entry.code} at {each.entry.place}, "
        f"usually {each.usual:.1f}"
        for each in found.bursts
    ]
    lines += [
        f"{' and '.join(each.components)} fail together, in {each.intervals} intervals ({each.share:.0%})"
        for each in found.failing_together
    ]
    lines += [f"new in this release: {each.code} at {each.place}" for each in found.new_in_release]
    cost = found.cost
    lines.append(f"{cost.failed} of {cost.requests} requests failed, in {cost.failed_seconds:.1f} s together")
    if cost.mean_ms_with_errors is not None and cost.mean_ms_without_errors is not None:
        lines.append(
            f"a request took {cost.mean_ms_with_errors:.1f} ms in intervals with errors, "
            f"{cost.mean_ms_without_errors:.1f} ms in the others"
        )
    lines += [
        f"recovery {each.action}: {each.success_rate:.0%} of {each.succeeded + each.failed} succeeded, "
        f"after {each.mean_seconds:.1f} s on average"
        for each in found.recoveries
    ]
    return lines
