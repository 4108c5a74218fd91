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
from algosat_release.switch import check_configuration, differences, switch


def main() -> int:
    """Execute a command. Returns 0 if done, 1 if refused, 2 for wrong usage, 3 if failed and rolled back."""
    arguments = _parser().parse_args()
    layout = layouts.read(arguments.layout)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a lost SSH connection must not interrupt a switch
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _locked(layout):
            _execute(layout, arguments)
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
    commands = parser.add_subparsers(dest="verb", required=True)
    unpack = commands.add_parser("install", help="install a release beside the current one")
    unpack.add_argument("name")
    unpack.add_argument("archive", type=Path)
    put = commands.add_parser("switch", help="make a release current, or roll back if it is unhealthy")
    put.add_argument("name")
    back = commands.add_parser("rollback", help="make the previous release current again")
    back.add_argument("name", nargs="?", help="another release than the previous one")
    for command in (put, back):
        command.add_argument("--check", action="store_true", help="only print what would change")
        command.add_argument("--force", action="store_true", help="even if it interrupts trading")
    commands.add_parser("idle", help="fail if a switch now would interrupt trading")
    commands.add_parser("list", help="list the releases on this server")
    return parser


def _execute(layout: Layout, arguments: argparse.Namespace) -> None:
    if arguments.verb == "install":
        if install(layout, arguments.name, arguments.archive):
            print(f"installed {arguments.name}")
    elif arguments.verb == "list":
        _list(layout)
    elif arguments.verb == "idle":
        guard.require_idle(layout)
    else:
        release = _requested(layout, arguments)
        if arguments.check:
            found = differences(layout, release)
        else:
            found = switch(layout, release, force=arguments.force)
        print("".join(f"{line}\n" for line in found), end="")


def _requested(layout: Layout, arguments: argparse.Namespace) -> Release:
    if arguments.verb == "switch":
        return layout.release(arguments.name)
    name = arguments.name or plan.state(layout).get("previous")
    if name is None:
        raise Refused("there is no previous release; see `release list`")
    release = layout.release(name)
    if not release.is_complete:
        raise Refused(f"{name} is not installed; see `release list`")
    if not arguments.check:
        _adopt_configuration(layout, release)
    return release


def _adopt_configuration(layout: Layout, release: Release) -> None:
    """Give an older release the current configuration, unless the release does not accept it."""
    own = {name: (release.configuration / name).read_bytes() for name in CONFIGURATION}
    for name in CONFIGURATION:
        install_file(layout.configuration / name, release.configuration / name, layout.group)
    try:
        check_configuration(layout, release)
    except Refused as refusal:
        for name, content in own.items():
            (release.configuration / name).write_bytes(content)
        # The check refuses keys that have been rotated since.
        check_configuration(layout, release, "--in-force", str(layout.configuration))
        print(f"using the configuration that {release.name} ran with last: {refusal}", file=sys.stderr)


def _list(layout: Layout) -> None:
    current = layout.current_release()
    for release in layout.installed():
        is_current = current is not None and current.name == release.name
        print(f"{release.name}{'  (current)' if is_current else ''}")


@contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    with (layout.home / ".release.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("another release is in progress on this server") from None
        yield


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
