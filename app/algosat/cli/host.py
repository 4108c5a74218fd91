"""`algosat host`: the machine, as the server has watched it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from algosat.cli.base import Chosen, operator, with_directory

if TYPE_CHECKING:
    from algosat.config.settings import AlgosatFile
    from algosat.host.advisor import Advice
    from algosat.host.cleaning import Candidate
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
    """Report on the machine, and keep its disk clean."""


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


@command.command()
@click.option("--check", is_flag=True, help="Exit with 1 if vps.optimization_enabled is off; change nothing.")
@click.option("--dry-run", is_flag=True, help="Print what would go; change nothing.")
@with_directory
@click.pass_context
def clean(context: click.Context, check: bool, dry_run: bool) -> None:
    """Move caches and rotated logs beyond their bounds into the bin, and empty it after a week.

    Does nothing while vps.optimization_enabled is off. What goes is audited, and `restore` puts it back.
    """
    import time

    from algosat.host import cleaning

    chosen: Chosen = context.obj
    settings, now = chosen.settings().algosat, time.time()
    if check or not settings.vps.optimization_enabled:
        context.exit(0 if settings.vps.optimization_enabled or not check else 1)
    found = cleaning.plan(cleaning.places(settings), now)
    for place, files in found.items():
        for each in files:
            click.echo(f"{place}\t{each.size}\t{each.path}")
    if dry_run:
        return
    if found:
        _remove(chosen, settings, found, now)
    _purge(chosen, settings, now)


@command.command()
@with_directory
@click.pass_obj
def removed(chosen: Chosen) -> None:
    """Print what can be put back, newest first: id, time, number of files, bytes."""
    from algosat.host.cleaning import Bin

    for each in Bin(chosen.settings().algosat.data_directory).all():
        click.echo(f"{each.id}\t{_time(each.at)}\t{len(each.files)}\t{each.size}")


@command.command()
@click.argument("removal_id", metavar="ID")
@with_directory
@click.pass_obj
def restore(chosen: Chosen, removal_id: str) -> None:
    """Put back the files that went as ID. A file that exists again keeps its content."""
    from algosat.host.cleaning import Bin

    number, kept = Bin(chosen.settings().algosat.data_directory).restore(removal_id)
    _audit(chosen, "host.restored", removal_id, {"files": number, "kept": len(kept)})
    click.echo(f"{number} files are back")
    for path in kept:
        click.echo(f"{path} exists again; the removed one stays in the bin", err=True)


def _remove(chosen: Chosen, settings: AlgosatFile, found: Mapping[str, list[Candidate]], now: float) -> None:
    """Remove files. Without a place in the audit trail nothing goes."""
    from algosat.host.cleaning import Bin, new_id

    removal_id = new_id(now)
    places = {
        name: {"files": len(files), "bytes": sum(each.size for each in files)}
        for name, files in found.items()
    }
    _audit(chosen, "host.cleaned", removal_id, places)
    Bin(settings.data_directory).remove((each for files in found.values() for each in files), now, removal_id)
    click.echo(f"removed as {removal_id}; `algosat host restore {removal_id}` puts it back")


def _purge(chosen: Chosen, settings: AlgosatFile, now: float) -> None:
    import shutil

    from algosat.host.cleaning import KEPT_FOR, KEPT_WHILE_FULL, Bin

    disk = shutil.disk_usage(settings.data_directory)
    is_full = 100 * disk.used / disk.total >= settings.vps.disk_threshold
    for each in Bin(settings.data_directory).purge(now, KEPT_WHILE_FULL if is_full else KEPT_FOR):
        _audit(chosen, "host.purged", each.id, {"files": len(each.files), "bytes": each.size})
        click.echo(f"deleted for good: {each.id}")


def _audit(chosen: Chosen, kind: str, subject: str, data: dict[str, Any]) -> None:
    from algosat import clock
    from algosat.store import audit

    with chosen.writer() as (_, writer):
        writer.run(lambda connection: audit.append(connection, clock.now(), kind, subject, operator(), data))


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
