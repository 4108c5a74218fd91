"""`algosat logs`: the log lines about an order, a request or a user."""

from __future__ import annotations

from typing import Any

import click

from algosat.cli.base import Chosen, with_directory

_FIRST = ("timestamp", "level", "process", "event")
_SHOWN_ONCE = {*_FIRST, "exception"}


@click.command()
@click.option("--order", metavar="ID", help="Lines about this order, and about the requests that changed it.")
@click.option("--request", metavar="ID", help="Lines with this X-Request-ID, of all processes.")
@click.option("--user", metavar="NAME", help="Lines about requests of this user, and what they caused.")
@click.option("--since", metavar="TIME", help="Not before: 90m, 2h, 3d, or 2026-11-20T09:15:00Z.")
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"]),
    default="debug",
    help="This level and more severe ones.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="The last so many lines."
)
@click.option("--json", "as_json", is_flag=True, help="Print the lines as they are in the log.")
@with_directory
@click.pass_obj
def command(chosen: Chosen, /, since: str | None, as_json: bool, **wanted: Any) -> None:
    """Print log lines, oldest first: time, level, process, event and details.

    Reads the log's file and its rotated ones, or the journal if logging.file is null.
    """
    from algosat.clock import now
    from algosat.monitoring.log_search import LogQuery, lines_of, moment, search

    settings = chosen.settings().algosat.logging
    query = LogQuery(since=None if since is None else moment(since, now()), **wanted)
    found = search(lines_of(settings), query)
    for line in found:
        click.echo(line.rstrip(b"\n") if as_json else _text(line))
    if not found:
        click.echo("no line in the log matches", err=True)


def _text(line: bytes) -> str:
    """Return a line for a person: the time first, the traceback last."""
    import orjson

    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line.decode(errors="replace").rstrip("\n")
    first = " ".join(str(fields.get(name, "-")) for name in _FIRST)
    details = " ".join(
        f"{name}={value}" for name, value in fields.items() if name not in _SHOWN_ONCE and value is not None
    )
    return "\n".join(filter(None, (f"{first} {details}", fields.get("exception"))))
