"""`make bench-provision`: a first run and one without changes, beside a script with the same packages.

The machines are created for this bench. With BESIDE=… another project's playbook (its
collections in `collections/` next to it) is played as root on a third one, its second run right after ours.
"""

from __future__ import annotations

import argparse
import base64
import os
import secrets
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import yaml

from tools import containers, podman, shell, ssh
from tools.bench.report import Figure, published, table
from tools.containers import Machine
from tools.distros import DEFAULT, named
from tools.local_inventory import OPERATOR
from tools.paths import ROOT
from tools.playbook import Outcome, play
from tools.say import finish, note, step

_FIRST_SECONDS: Final = 300
_NO_CHANGE_SECONDS: Final = 60
_SECONDS_A_TASK: Final = 0.5
_PAGE: Final = ROOT / "docs" / "benchmarks.md"


def main() -> int:
    """Measure on fresh machines, print a table, remove the machines. Returns 1 if a figure is too high."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.provision", description=__doc__)
    parser.add_argument("--distro", default=DEFAULT)
    parser.add_argument("--name", default="bench-provision", help="name of the machines")
    parser.add_argument("--beside", type=Path, help="another project's playbook")
    parser.add_argument("--save", action="store_true", help=f"also write {_PAGE.relative_to(ROOT)}")
    asked = parser.parse_args()
    names = [asked.name, f"{asked.name}-script", *([f"{asked.name}-beside"] if asked.beside else [])]
    load = os.getloadavg()[0]
    try:
        figures = _measure(
            *(containers.run(name, named(asked.distro)) for name in names), beside=asked.beside
        )
    finally:
        for name in names:
            containers.remove(name)
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    run = f"{when}, {asked.distro} in a container; load {load:.1f} before the run\n\n{table(figures)}"
    note(f"\n{run}")
    if asked.save:
        _PAGE.write_text(published(_PAGE.read_text(), run, verb="bench-provision"))
    return int(any(figure.met is False for figure in figures))


def _measure(ours: Machine, plain: Machine, *others: Machine, beside: Path | None) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="algosat-bench-") as directory:
        hosts = inventory(ours, Path(directory))
        for other in others:
            with step(f"a first run of {beside}"):
                _play_beside(beside, other, Path(directory))
        with step("a first run"):
            began = time.monotonic()
            play("bootstrap.yml", hosts, "bench-bootstrap")
            outcome = play("site.yml", hosts, "bench-site")
            first = Outcome(time.monotonic() - began, outcome.hosts)
        with step("a run without changes"):
            again = play("site.yml", hosts, "bench-no-change")
        theirs = [_play_beside(beside, other, Path(directory)) for other in others]
    packages = sorted(_packages(ours) - _packages(plain))
    with step(f"a script that installs the same {len(packages)} packages, twice"):
        script, repeated = _installed(plain, packages), _installed(plain, packages)
    return [
        run("first run, bootstrap included", first, _FIRST_SECONDS),
        Figure("script that installs the same packages", f"{script:.1f} s", ""),
        run("run without changes", again, _NO_CHANGE_SECONDS, _SECONDS_A_TASK),
        Figure("the script again", f"{repeated:.1f} s", ""),
        Figure(
            "tasks of the run without changes that changed something",
            str(sum(again.changed.values())),
            "0",
            not again.changed,
        ),
        *(_compared(again, other, beside) for other in theirs),
    ]


def _play_beside(playbook: Path | None, machine: Machine, directory: Path) -> Outcome:
    hosts = directory / "beside.yml"
    host = {**machine.variables, "ansible_user": "root"}
    hosts.write_text(yaml.safe_dump({"all": {"hosts": {machine.name: host}}}))
    return play(str(playbook), hosts, "bench-beside")


def _compared(ours: Outcome, theirs: Outcome, playbook: Path | None) -> Figure:
    share = ours.seconds / theirs.seconds
    name = playbook.stem if playbook else ""
    return Figure(
        f"run without changes, against a second run of {name} in the same minutes",
        f"{share:.2f} of its {theirs.tasks} tasks, {theirs.seconds:.1f} s",
        "< 0.5",
        share < 0.5,
    )


def run(work: str, outcome: Outcome, seconds: float, a_task: float | None = None) -> Figure:
    """Return a run of the playbooks as a line of the report."""
    each = outcome.seconds / outcome.tasks
    return Figure(
        work,
        f"{outcome.tasks} tasks, {outcome.seconds:.1f} s, {each:.2f} s a task",
        f"≤ {seconds:.0f} s" + (f", ≤ {a_task} s a task" if a_task else ""),
        outcome.seconds <= seconds and (a_task is None or each <= a_task),
    )


def inventory(machine: Machine, directory: Path) -> Path:
    """Write the inventory of `make up`'s server, with new secrets."""
    settings = {
        "algosat_environment": "development",
        "algosat_server_name": "localhost",
        "algosat_operator_addresses": [f"{containers.gateway()}/32"],
        "algosat_accounts": [{"name": "paper", "calendar": "always_open"}],
        "algosat_security_secret_key": secrets.token_urlsafe(48),
        "algosat_encryption_keys": [base64.b64encode(secrets.token_bytes(32)).decode()],
        "algosat_admin_password": secrets.token_urlsafe(18),
        "users_operators": [{"name": OPERATOR, "keys": [ssh.public_key()]}],
    }
    host = {**machine.variables, "ansible_user": OPERATOR}
    file = directory / "hosts.yml"
    file.write_text(yaml.safe_dump({"algosat": {"hosts": {machine.name: host}}}))
    # In group_vars: variables beside the hosts have lower precedence than playbooks/group_vars/all.
    group = directory / "group_vars" / "algosat.yml"
    group.parent.mkdir()
    group.touch(mode=0o600)
    group.write_text(yaml.safe_dump(settings))
    return file


def _packages(machine: Machine) -> set[str]:
    return set(podman.podman("exec", machine.name, "apt-mark", "showmanual").split())


def _installed(machine: Machine, packages: Sequence[str]) -> float:
    install = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends"
    began = time.monotonic()
    shell.output([*machine.ssh, f"apt-get -qq update && {install} {' '.join(packages)}"])
    return time.monotonic() - began


if __name__ == "__main__":
    finish(main)
