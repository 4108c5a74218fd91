"""Running other programs: quiet while they succeed, their own words when they fail."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from tools.say import Trouble

TAIL = 25


def as_root() -> list[str]:
    """The prefix that makes a command run as root: nothing for root, sudo for anybody else."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        raise Trouble("this needs root, and there is no sudo", "repeat the command as root")
    return ["sudo"]


def output(
    command: Sequence[str],
    *,
    stdin: str | None = None,
    remedy: str = "",
    env: Mapping[str, str] | None = None,
) -> str:
    """What the command prints; `Trouble` with the end of its error output if it fails."""
    done = attempt(command, stdin=stdin, env=env)
    if done.returncode != 0:
        raise Trouble(f"`{' '.join(command)}` failed ({done.returncode})\n{tail(done)}", remedy)
    return done.stdout


def attempt(
    command: Sequence[str], *, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command and hand back whatever became of it."""
    return subprocess.run(
        command,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        check=False,
    )


def stream(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run the command on this terminal; its exit code."""
    return subprocess.run(command, env={**os.environ, **(env or {})}, check=False).returncode


def tail(done: subprocess.CompletedProcess[str]) -> str:
    """The last lines of what a finished command said."""
    return "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-TAIL:])
