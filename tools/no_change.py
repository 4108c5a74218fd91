"""Provision a server again and fail if anything changes. Prints the number of tasks and seconds."""

import argparse
from pathlib import Path

from tools.paths import ROOT
from tools.playbook import Outcome, play
from tools.say import Trouble, finish, note, step

LOCAL_INVENTORY = ROOT / "inventories" / "local"


def main() -> None:
    """Run site.yml again and require that it changes no host."""
    parser = argparse.ArgumentParser(prog="python -m tools.no_change", description=__doc__)
    parser.add_argument("--inventory", type=Path, default=LOCAL_INVENTORY)
    parser.add_argument("--check", action="store_true", help="run in check mode")
    asked = parser.parse_args()
    if not asked.inventory.exists():
        raise Trouble(f"there is no inventory {asked.inventory}", "`make up` makes the local one")
    together = ("--extra-vars", "at_a_time=100%")  # check mode changes nothing: all servers at a time
    arguments = ("--check", "--diff", *together) if asked.check else ("--diff",)
    with step("provisioning again; nothing may change"):
        log = "-".join(("no-change", *asked.inventory.resolve().parts[-3:]))
        outcome = play("site.yml", asked.inventory, log, *arguments)
    _require_no_change(outcome, log)
    note(
        f"changed=0 on {', '.join(outcome.hosts)}: {outcome.tasks} tasks in {outcome.seconds:.1f} s,"
        f" {outcome.seconds / outcome.tasks:.2f} s a task"
    )


def _require_no_change(outcome: Outcome, log: str) -> None:
    if not outcome.tasks:
        raise Trouble("the playbook ran on no host", "add the server to the inventory's group `algosat`")
    if outcome.changed:
        said = ", ".join(f"{host} ({count} tasks)" for host, count in outcome.changed.items())
        raise Trouble(f"a second run changed {said}", f".local/logs/{log}.log names them")


if __name__ == "__main__":
    finish(main)
