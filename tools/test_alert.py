"""Sending a test alert through every channel of the servers of an environment.

python -m tools.test_alert ENV [--limit HOST]      fails unless each channel has accepted its messages

The channel of the trial server leads to the server itself, where the test listens.
"""

import argparse

from tools.local_inventory import ENVIRONMENT
from tools.paths import ROOT
from tools.playbook import play
from tools.say import Trouble, finish, note, step


def main() -> None:
    """Let each server send its test alert, and print what the channels answered."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.test_alert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("environment", nargs="?", default=ENVIRONMENT, help="directory in inventories/")
    parser.add_argument("--limit", default="algosat", help="only these hosts")
    asked = parser.parse_args()
    inventory = ROOT / "inventories" / asked.environment
    if not inventory.is_dir():
        raise Trouble(
            f"there is no inventory {inventory}", "`make up` makes local, `make new-inventory ENV=…` others"
        )
    receive = ("--extra-vars=test_receiver=true",) if asked.environment == ENVIRONMENT else ()
    with step(f"sending a test alert from the servers of {inventory.name}"):
        outcome = play("test_alert.yml", inventory, "test-alert", "--limit", asked.limit, *receive)
    note(f"every channel has accepted the test alert of: {', '.join(sorted(outcome.hosts))}")


if __name__ == "__main__":
    finish(main)
