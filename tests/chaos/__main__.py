from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.run import run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=2000, help="acknowledged orders, none of them denied")
    parser.add_argument("--kills", type=int, default=200, help="processes killed, at the least")
    parser.add_argument("--seed", type=int, default=None, help="of orders, faults and the market")
    parser.add_argument("--directory", type=Path, default=None, help="where to leave store and log")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    directory = chosen.directory or Path(tempfile.mkdtemp(prefix="algosat-chaos-"))
    directory.mkdir(exist_ok=True)
    verdict = run(
        directory,
        orders=chosen.orders,
        kills=chosen.kills,
        seed=seed,
        say=lambda words: print(words, flush=True),
    )
    print("\n".join(verdict.lines()))
    if verdict.findings:
        print(f"store and log are left in {directory}")
    elif chosen.directory is None:
        shutil.rmtree(directory)
    return 1 if verdict.findings else 0


if __name__ == "__main__":
    sys.exit(main())
