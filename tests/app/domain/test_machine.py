from __future__ import annotations

from datetime import UTC, datetime

import pytest

from algosat.domain.machine import Machine, StoreState, halt_reason, state_for

HERE, THERE = Machine("1a" * 16, "here"), Machine("2b" * 16, "there")


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        (None, StoreState.UNCLAIMED),
        (HERE, StoreState.OWNED),
        (Machine(HERE.id, "renamed"), StoreState.OWNED),
        (THERE, StoreState.OTHER),
        (Machine(THERE.id, HERE.name), StoreState.OTHER),  # a clone keeps its host name
    ],
)
def test_store_belongs_to_the_machine_with_the_owners_id(owner: Machine | None, expected: StoreState) -> None:
    assert state_for(HERE, owner) is expected


def test_reason_names_both_machines_the_last_use_and_the_remedy() -> None:
    reason = halt_reason(HERE, THERE, datetime(2026, 11, 30, 10, 15, tzinfo=UTC))
    for part in ("here (1a1a1a1a)", "there (2b2b2b2b)", "2026-11-30 10:15:00 UTC", "algosat engine adopt"):
        assert part in reason
    assert "never used" in halt_reason(HERE, THERE, None)
