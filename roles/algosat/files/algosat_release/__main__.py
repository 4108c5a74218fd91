"""release: install, switch, roll back and list the releases of Algosat on this server."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from algosat_release import guard, plan
from algosat_release import layout as layouts
from algosat_release.install import install
from algosat_release.layout import CONFIGURATION, Layout, Release
from algosat_release.machine import Failed, Refused, install_file
from algosat_release.switch import accept, differences, switch


def main() -> int:
    """Carry out a verb: 0 done, 1 refused (nothing changed), 2 wrong usage, 3 failed (gone back)."""
    arguments = _parser().parse_args()
    layout = layouts.read(arguments.layout)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a lost SSH connection does not end a switch half-way
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _alone(layout):
            _carry_out(layout, arguments)
    except Refused as refusal:
        print(f"refused, nothing was changed: {refusal}", file=sys.stderr)
        return 1
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 3
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="release", description=__doc__)
    parser.add_argument(
        "--layout", type=Path, default=Path("/opt/algosat/release.json"), help=argparse.SUPPRESS
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    unpack = verbs.add_parser("install", help="install a release beside the running one")
    unpack.add_argument("name")
    unpack.add_argument("archive", type=Path)
    put = verbs.add_parser("switch", help="put a release in force; go back by itself if it is not healthy")
    put.add_argument("name")
    back = verbs.add_parser("rollback", help="put the release before this one in force again")
    back.add_argument("name", nargs="?", help="another one than the last")
    for verb in (put, back):
        verb.add_argument("--check", action="store_true", help="only say what would change")
        verb.add_argument("--force", action="store_true", help="even if that cuts into trading")
    verbs.add_parser("idle", help="whether a switch now would cut into trading")
    verbs.add_parser("list", help="the releases on this server")
    return parser


def _carry_out(layout: Layout, arguments: argparse.Namespace) -> None:
    if arguments.verb == "install":
        if install(layout, arguments.name, arguments.archive):
            print(f"installed {arguments.name}")
    elif arguments.verb == "list":
        _list(layout)
    elif arguments.verb == "idle":
        guard.require_idle(layout)
    else:
        release = _chosen(layout, arguments)
        if arguments.check:
            found = differences(layout, release)
        else:
            found = switch(layout, release, force=arguments.force)
        print("".join(f"{line}\n" for line in found), end="")


def _chosen(layout: Layout, arguments: argparse.Namespace) -> Release:
    if arguments.verb == "switch":
        return layout.release(arguments.name)
    name = arguments.name or plan.state(layout).get("previous")
    if name is None:
        raise Refused("there is no release before this one; see `release list`")
    release = layout.release(name)
    if not release.is_complete:
        raise Refused(f"{name} is not installed; see `release list`")
    if not arguments.check:
        _take_over_configuration(layout, release)
    return release


def _take_over_configuration(layout: Layout, release: Release) -> None:
    """Let an older release run with what is in force, unless it is too old to understand it."""
    own = {name: (release.configuration / name).read_bytes() for name in CONFIGURATION}
    for name in CONFIGURATION:
        install_file(layout.configuration / name, release.configuration / name, layout.group)
    try:
        accept(layout, release)
    except Refused as refusal:
        for name, content in own.items():
            (release.configuration / name).write_bytes(content)
        # Keys that were replaced since are not brought back.
        accept(layout, release, "--in-force", str(layout.configuration))
        print(f"it goes back to the configuration it last ran with: {refusal}", file=sys.stderr)


def _list(layout: Layout) -> None:
    running = layout.running()
    for release in layout.installed():
        in_force = running is not None and running.name == release.name
        print(f"{release.name}{'  (in force)' if in_force else ''}")


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    with (layout.home / ".release.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("another release is under way on this server") from None
        yield


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
