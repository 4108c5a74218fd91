from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import tests.chaos
from tests.chaos.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=tests.chaos.__doc__)
    parser.add_argument("--orders", type=int, default=2000, help="number of orders that pass the gate")
    parser.add_argument("--kills", type=int, default=200, help="minimum number of processes killed")
    parser.add_argument(
        "--accounts", type=int, choices=(1, 2), default=1, help="2: only the first account has faults"
    )
    parser.add_argument(
        "--measured-seconds", type=float, default=40, help="for how long orders of the second are timed"
    )
    parser.add_argument("--seed", type=int, default=None, help="seed of orders, faults and the market")
    parser.add_argument("--directory", type=Path, default=None, help="directory to keep store and log in")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    directory = chosen.directory or Path(tempfile.mkdtemp(prefix="algosat-chaos-"))
    directory.mkdir(exist_ok=True)
    result = run(
        directory,
        orders=chosen.orders,
        kills=chosen.kills,
        seed=seed,
        accounts=chosen.accounts,
        measured_seconds=chosen.measured_seconds if chosen.accounts > 1 else 0,
        say=lambda text: print(text, flush=True),
    )
    print("\n".join(result.lines()))
    if result.findings:
        print(f"store and log are in {directory}")
    elif chosen.directory is None:
        shutil.rmtree(directory)
    return 1 if result.findings else 0


if __name__ == "__main__":
    sys.exit(main())
