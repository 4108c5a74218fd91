"""`algosat host`: the machine, as the server has watched it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from algosat.cli.base import Chosen, with_directory

if TYPE_CHECKING:
    from algosat.host.advisor import Advice
    from algosat.host.history import History, Point
    from algosat.host.probe import Reading

_POINTS: Final = 12
_MIB: Final = 2**20
_COLUMNS: Final = (
    "time (UTC)",
    "cpu %",
    "load",
    "mem %",
    "swap %",
    "disk %",
    "read/s",
    "written/s",
    "in/s",
    "out/s",
)


@click.group()
def command() -> None:
    """Report on the machine."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print the whole history and the advice as JSON.")
@with_directory
@click.pass_obj
def report(chosen: Chosen, as_json: bool) -> None:
    """Print the machine now, Algosat's processes, the last hours, and advice with its reason.

    The readings are those of the API's process; without it, there is one reading, of now.
    """
    from algosat.host import advisor
    from algosat.host.history import History, HistoryFiles
    from algosat.host.probe import Probe, in_container

    settings = chosen.settings().algosat
    history = HistoryFiles(settings.runtime_directory).read()
    if history.latest is None:
        history = History(history.minutes, (Probe(settings.data_directory).read(),))
    advice = advisor.advise(advisor.Facts(history, settings, in_container()))
    if as_json:
        _print_json(history, advice)
    else:
        _print_text(history, advice)


def _print_json(history: History, advice: list[Advice]) -> None:
    from dataclasses import asdict

    import orjson

    click.echo(orjson.dumps({**asdict(history), "advice": [asdict(each) for each in advice]}))


def _print_text(history: History, advice: list[Advice]) -> None:
    from algosat.host.history import points

    now = history.mean
    if now is not None:
        _print_machine(now)
    _print_points(points(history, _POINTS))
    click.echo("\nadvice" if advice else "\nno advice")
    for each in advice:
        variable = f" [{each.variable}]" if each.variable else ""
        click.echo(f"- {each.urgency}: {each.finding}. {each.reason}.\n  {each.remedy}{variable}.")


def _print_machine(now: Reading) -> None:
    click.echo(
        f"{_time(now.at)}  {now.cpu_count} processors {now.cpu_percent:.0f} %, "
        f"load {now.load_average[0]:.1f}; "
        f"memory {now.memory_percent:.0f} % of {now.memory_total // _MIB} MiB; "
        f"swap {now.swap_percent:.0f} % of {now.swap_total // _MIB} MiB; "
        f"disk {now.disk_percent:.0f} %, {now.disk_free // _MIB} MiB free, "
        f"inodes {now.inodes_percent:.0f} %; "
        f"{now.process_count} processes, {now.threads} threads, {now.descriptors} descriptors"
    )
    click.echo("\nprocess\tpid\tMiB\tdescriptors\tthreads\tcpu s\tsince")
    for each in now.processes:
        figures = (
            each.pid,
            each.resident_bytes // _MIB,
            each.open_fds,
            each.threads,
            round(each.cpu_seconds),
        )
        click.echo("\t".join(map(str, (each.name, *figures, _time(each.started_at)))))


def _print_points(found: list[Point]) -> None:
    if not found:
        return
    click.echo("\n" + "\t".join(_COLUMNS))
    for each in found:
        percents = (each.memory_percent, each.swap_percent, each.disk_percent)
        rates = (
            each.disk_read_rate,
            each.disk_written_rate,
            each.network_received_rate,
            each.network_sent_rate,
        )
        cells = (f"{each.cpu_percent:.0f}", f"{each.load:.1f}", *(f"{it:.0f}" for it in percents))
        click.echo("\t".join((_time(each.at), *cells, *map(_size, rates))))


def _size(rate: float) -> str:
    """Return bytes a second in the largest unit that leaves a whole number."""
    for unit in ("B", "KiB", "MiB"):
        if rate < 1024:
            return f"{rate:.0f} {unit}"
        rate /= 1024
    return f"{rate:.0f} GiB"


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
