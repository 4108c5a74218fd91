"""Running a playbook: its plays and roles on the terminal, its output in a log, the counts of its recap."""

import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tools.paths import LOCAL, ROOT, VENV_BIN
from tools.say import Trouble, note

TASK = re.compile(r"^TASK \[(?:(?P<role>[\w.-]+) : )?(?P<name>.+?)\] \*+$")
PLAY = re.compile(r"^PLAY \[(?P<name>.+?)\] \*+$")
RECAP = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>ok=\d+.*)$")
# The first line of an error.
FAILURE = re.compile(r"^(\[ERROR\]|fatal: |failed: |ERROR! )")
SHOWN = 60


@dataclass(frozen=True)
class Outcome:
    """The outcome of a playbook: its duration in seconds, and Ansible's counts for each host."""

    seconds: float
    hosts: dict[str, dict[str, int]]

    @property
    def tasks(self) -> int:
        """The number of tasks on the host with the most tasks."""
        return max((counts["ok"] + counts["skipped"] for counts in self.hosts.values()), default=0)

    @property
    def changed(self) -> dict[str, int]:
        """The number of changed tasks of each host that was changed."""
        return {host: counts["changed"] for host, counts in self.hosts.items() if counts["changed"]}


def play(playbook: str, inventory: Path | str, log: str, *arguments: str) -> Outcome:
    """Run a playbook of playbooks/ and return its outcome. The output goes to .local/logs/`log`.log.

    Raises:
        Trouble: the playbook failed; the message contains the output of the failed task.
    """
    file = LOCAL / "logs" / f"{log}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    hosts: dict[str, dict[str, int]] = {}
    ansible_playbook = str(VENV_BIN / "ansible-playbook")
    command = [ansible_playbook, f"--inventory={inventory}", str(ROOT / "playbooks" / playbook), *arguments]
    with (
        file.open("w", buffering=1) as written,
        subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as ansible,
    ):  # fmt: skip
        progress = _Progress(began)
        for line in ansible.stdout or ():
            written.write(line)
            progress.read(line)
            if recap := RECAP.match(line):
                hosts[recap["host"]] = _counts(recap["counts"])
    if ansible.returncode != 0:
        raise Trouble(
            f"playbooks/{playbook} failed\n{_failure(file)}",
            f"the whole output is in {file.relative_to(ROOT)}",
        )
    return Outcome(time.monotonic() - began, hosts)


class _Progress:
    """Prints each play and role when it begins."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._part = ""

    def read(self, line: str) -> None:
        task = TASK.match(line)
        part = task["role"] if task and task["role"] else ""
        if played := PLAY.match(line):
            part = played["name"]
        if part and part != self._part:
            self._part = part
            note(f"    {time.monotonic() - self._began:4.0f} s  {part}")


def _counts(text: str) -> dict[str, int]:
    return {key: int(value) for key, _, value in (pair.partition("=") for pair in text.split())}


def _failure(file: Path) -> str:
    """Return the log from the title of the last failed task."""
    lines = file.read_text().splitlines()
    failed = max((number for number, line in enumerate(lines) if FAILURE.match(line)), default=len(lines))
    titles = (number for number, line in enumerate(lines[:failed]) if TASK.match(line))
    first = max(titles, default=max(0, failed - SHOWN))
    return "\n".join(lines[first : first + SHOWN])


def environment() -> dict[str, str]:
    """Return the environment in which ansible-playbook is started."""
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "false",
        "PATH": f"{VENV_BIN}{os.pathsep}{os.environ['PATH']}",
    }
