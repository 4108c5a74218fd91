"""Access to the machine: systemd units, files, and programs that run as the service account."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from algosat_release.layout import Layout

TAIL = 20


class Refused(Exception):
    """The command is refused; nothing was changed."""


class Failed(Exception):
    """A step failed."""


def run(command: Sequence[str | Path]) -> str:
    """Return the output of the command. Raises Failed with its last lines if it fails."""
    done = attempt(command)
    if done.returncode != 0:
        raise Failed(f"`{' '.join(map(str, command))}` failed:\n{tail(done)}")
    return done.stdout


def attempt(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run the command and return its result, whatever its exit code."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def tail(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last lines of the command's error output, or of its output if there is none."""
    return "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-TAIL:])


def as_service(layout: Layout, *command: str | Path) -> list[str | Path]:
    """Return the command to be run as the service account, so that root owns none of its files."""
    return ["runuser", "-u", layout.user, "--", *command]


def systemctl(*arguments: str) -> str:
    return run(["systemctl", *arguments])


def unit_states(units: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the ActiveState and the UnitFileState of each unit."""
    shown = systemctl("show", "--property=Id,ActiveState,UnitFileState", *units)
    blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n"))
    return {block["Id"]: block for block in blocks if block.get("Id")}


def journal_tails(units: Sequence[str], since: str) -> str:
    """Return the last journal lines of each unit since a time, to show why a release did not start."""
    run(["journalctl", "--sync"])
    found = {unit: _journal(unit, since) for unit in units}
    return "\n".join(f"--- {unit} ---\n{lines}" for unit, lines in found.items() if lines)


def _journal(unit: str, since: str) -> str:
    options = ("--no-pager", "--quiet", "--output=cat", f"--since={since}")
    # Not --lines: some versions count from the beginning if --since is given.
    return "\n".join(run(["journalctl", *options, f"--unit={unit}"]).splitlines()[-TAIL:])


def install_file(source: Path, target: Path, group: str) -> None:
    """Copy the file atomically. root owns it and the group may read it."""
    temporary = target.with_name(f".{target.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_bytes(source.read_bytes())
    shutil.chown(temporary, "root", group)
    temporary.chmod(0o640)
    temporary.rename(target)


def replace_link(link: Path, target: Path) -> None:
    """Point the link to the target atomically, with a relative path."""
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, link.parent))
    temporary.rename(link)
