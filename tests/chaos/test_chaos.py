"""The short run of `make chaos`."""

from __future__ import annotations

import os
from pathlib import Path

from tests.chaos.run import run


def test_no_order_is_lost_doubled_or_beyond_a_limit_under_kills_and_faults(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED", "20261122"))
    result = run(tmp_path, orders=150, kills=12, seed=seed, say=print)
    print("\n".join(result.lines()))
    assert result.findings == []
    assert result.orders >= 150
    assert sum(result.kills.values()) >= 12
