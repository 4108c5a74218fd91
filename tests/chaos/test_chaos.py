"""The short form of `make chaos`."""

from __future__ import annotations

import os
from pathlib import Path

from tests.chaos.run import run


def test_killed_and_failing_in_every_way_it_loses_doubles_and_exceeds_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED", "20261122"))
    verdict = run(tmp_path, orders=150, kills=12, seed=seed, say=print)
    print("\n".join(verdict.lines()))
    assert verdict.findings == []
    assert verdict.orders >= 150
    assert sum(verdict.kills.values()) >= 12
