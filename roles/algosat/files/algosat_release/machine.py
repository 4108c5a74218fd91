"""What is done to the machine: its units, its files, and programs run as the service's user."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from algosat_release.layout import Layout

TAIL = 20


class Refused(Exception):
    """Something is wrong, and nothing was changed."""


class Failed(Exception):
    """Something went wrong on the way."""


def run(command: Sequence[str | Path]) -> str:
    """What the command prints. Raises Failed with its own words."""
    done = attempt(command)
    if done.returncode != 0:
        raise Failed(f"`{' '.join(map(str, command))}` failed:\n{tail(done)}")
    return done.stdout


def attempt(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run the command and hand back whatever became of it."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def tail(done: subprocess.CompletedProcess[str]) -> str:
    """The last lines of what a command said."""
    return "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-TAIL:])


def as_service(layout: Layout, *command: str | Path) -> list[str | Path]:
    """A command as the user the services run as, so that nothing it makes belongs to root."""
    return ["runuser", "-u", layout.user, "--", *command]


def systemctl(*arguments: str) -> str:
    return run(["systemctl", *arguments])


def unit_states(units: Sequence[str]) -> dict[str, dict[str, str]]:
    """What systemd says of each unit: whether it is active, and whether it starts at boot."""
    shown = systemctl("show", "--property=Id,ActiveState,UnitFileState", *units)
    blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n"))
    return {block["Id"]: block for block in blocks if block.get("Id")}


def last_words(units: Sequence[str], since: str) -> str:
    """The end of each unit's journal from a moment on: why a release did not come up."""
    run(["journalctl", "--sync"])
    told = {unit: _journal(unit, since) for unit in units}
    return "\n".join(f"--- {unit} ---\n{words}" for unit, words in told.items() if words)


def _journal(unit: str, since: str) -> str:
    options = ("--no-pager", "--quiet", "--output=cat", f"--since={since}")
    # Not by --lines: together with --since, some versions count from the beginning.
    return "\n".join(run(["journalctl", *options, f"--unit={unit}"]).splitlines()[-TAIL:])


def install_file(source: Path, target: Path, group: str) -> None:
    """Copy a file of root's that the group may read, in one step."""
    beside = target.with_name(f".{target.name}.new")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600)
    beside.write_bytes(source.read_bytes())
    shutil.chown(beside, "root", group)
    beside.chmod(0o640)
    beside.rename(target)


def point(link: Path, target: Path) -> None:
    """Make the link point there, in one step, relative to where it lies."""
    beside = link.with_name(f".{link.name}.new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(os.path.relpath(target, link.parent))
    beside.rename(link)
