"""Differences between the servers and their inventory: a report here, and a metric on each server.

python -m tools.drift ENV [--limit HOST]      exits with 3 if anything differs, for use in a timer
"""

import argparse
import difflib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.paths import LOCAL, ROOT, VENV_BIN
from tools.playbook import environment, play
from tools.say import Trouble, finish, note, step

INDENT = " " * 6
DRIFTED = 3


@dataclass(frozen=True)
class Difference:
    """One thing that a run would change. `what` is a file's path, a unit's name, or else the task's name."""

    what: str
    task: str
    lines: tuple[str, ...] = ()


def main() -> int:
    """Compare, write the report, and send each server its number of differences."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.drift",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("environment", help="directory in inventories/")
    parser.add_argument("--limit", default="algosat", help="compare only these hosts")
    asked = parser.parse_args()
    inventory = Path(asked.environment)
    if not inventory.is_dir():
        inventory = ROOT / "inventories" / asked.environment
    if not inventory.is_dir():
        raise Trouble(f"there is no inventory {inventory}", "`make new-inventory ENV=…` makes one")
    with step(f"comparing the servers of {inventory.name} with their inventory, without changing them"):
        found = differences(ask(ROOT / "playbooks" / "site.yml", inventory, asked.limit))
    if not found:
        raise Trouble(f"no host of {inventory.name} is in {asked.limit}", "name a host of the group algosat")
    text = report(found, inventory)
    file = LOCAL / "drift" / f"{inventory.name}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    note(text)
    note(f"this report is in {file}")
    counts = {host: len(its) for host, its in found.items()}
    variables = json.dumps({"drift_differences": counts})
    play("drift.yml", inventory, "drift", "--limit", ",".join(counts), "--extra-vars", variables)
    return DRIFTED if any(counts.values()) else 0


def ask(playbook: Path, inventory: Path, limit: str) -> dict[str, Any]:
    """Return the output of Ansible's check mode as JSON.

    Raises:
        Trouble: a host could not be compared completely.
    """
    command: Sequence[str | Path] = (
        VENV_BIN / "ansible-playbook", f"--inventory={inventory}", f"--limit={limit}", "--check", "--diff",
        "--extra-vars=at_a_time=100%", playbook,
    )  # fmt: skip
    json_only = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment() | json_only, stdin=subprocess.DEVNULL, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    try:
        answer: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    except ValueError:
        raise Trouble(f"Ansible did not compare anything\n{done.stderr.strip()}") from None
    if done.returncode != 0:
        raise Trouble("not every server could be compared:\n" + "\n".join(_failures(answer)))
    return answer


def differences(answer: Mapping[str, Any]) -> dict[str, list[Difference]]:
    """Return the differences of each host; an empty list for a host without any."""
    found: dict[str, list[Difference]] = {host: [] for host in answer["stats"]}
    for host, task, result in _results(answer):
        if result.get("changed"):
            found[host] += _named(task, result)
    return found


def report(found: Mapping[str, Sequence[Difference]], inventory: Path) -> str:
    """Return the report: each difference by name, the server's lines with -, the inventory's with +."""
    lines = [f"{inventory.name}, compared {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"]
    for host, its in sorted(found.items()):
        lines.append(f"{host}: {f'{len(its)} differ from the inventory' if its else 'as in the inventory'}")
        for difference in its:
            lines.append(f"  {difference.what}   ({difference.task})")
            lines += [INDENT + line for line in difference.lines]
    astray = [host for host, its in sorted(found.items()) if its]
    if astray:
        site = f".venv/bin/ansible-playbook -i {inventory} playbooks/site.yml"
        lines.append(f"to repair: {site} --limit {','.join(astray)}")
    return "\n".join(lines) + "\n"


def _results(answer: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for ran in (task for each in answer["plays"] for task in each["tasks"]):
        for host, result in ran["hosts"].items():
            for each in result.get("results") or [result]:
                yield host, ran["task"]["name"], each


def _named(task: str, result: Mapping[str, Any]) -> Iterator[Difference]:
    diffs = result.get("diff") or []
    named = [it for it in ([diffs] if isinstance(diffs, dict) else diffs) if it.get("after_header")]
    for diff in named:
        before, after = (str(diff.get(it) or "").splitlines() for it in ("before", "after"))
        lines = difflib.unified_diff(before, after, lineterm="", n=0)
        yield Difference(diff["after_header"], task, tuple(lines)[2:])
    if not named:
        what = result.get("name") or result.get("path") or result.get("dest") or result.get("item") or task
        yield Difference(str(what), task, tuple(result.get("stdout_lines", ())))


def _failures(answer: Mapping[str, Any]) -> Iterator[str]:
    for host, task, result in _results(answer):
        if result.get("failed") or result.get("unreachable"):
            yield f"  {host}: {task}: {result.get('msg', 'failed')}"


if __name__ == "__main__":
    finish(main)
