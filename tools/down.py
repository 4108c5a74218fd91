"""`make down`: remove the trial server and everything that was made for it."""

import argparse
import shutil

from tools import containers, images, local_inventory, ssh, up, vms
from tools.paths import CACHE
from tools.say import finish, note, step


def main() -> None:
    """Remove the machine, its inventory and its secrets, and with --caches the caches."""
    parser = argparse.ArgumentParser(prog="python -m tools.down", description=__doc__)
    parser.add_argument("--caches", action="store_true", help="also remove images and downloaded packages")
    caches = parser.parse_args().caches
    with step(f"removing {up.NAME}, its inventory and its secrets"):
        containers.remove(up.NAME)
        local_inventory.remove()
        up.FACTS.unlink(missing_ok=True)
        up.CA_FILE.unlink(missing_ok=True)
        if not containers.names() and not vms.names():
            ssh.forget_key()
    if caches:
        with step("removing images and downloaded packages"):
            images.remove_all()
            shutil.rmtree(CACHE, ignore_errors=True)
    else:
        note("    kept for next time: images and downloaded packages (`make clean` removes them)")


if __name__ == "__main__":
    finish(main)
