"""Running other programs. Their output is shown only if they fail."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from tools.say import Trouble

TAIL = 25


def as_root() -> list[str]:
    """Return the prefix that runs a command as root: empty for root, sudo for other users."""
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
    """Run the command and return its output.

    Raises:
        Trouble: the command failed; the message contains the end of its error output.
    """
    done = attempt(command, stdin=stdin, env=env)
    if done.returncode != 0:
        raise Trouble(f"`{' '.join(command)}` failed ({done.returncode})\n{tail(done)}", remedy)
    return done.stdout


def attempt(
    command: Sequence[str], *, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command and return the finished process, whether it succeeded or not."""
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
    """Run the command on this terminal and return its exit code."""
    return subprocess.run(command, env={**os.environ, **(env or {})}, check=False).returncode


def tail(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last lines of a finished command's output."""
    return "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-TAIL:])
