from __future__ import annotations

import pytest

from algosat.monitoring import correlation


@pytest.mark.parametrize("offered", ["a" * 8, "a" * 64, "Req-1.2_3abc"])
def test_well_formed_id_is_adopted(offered: str) -> None:
    assert correlation.begin(offered) == offered == correlation.current.get()


@pytest.mark.parametrize("offered", [None, "", "a" * 7, "a" * 65, "a b c d e", "abcdefgh\n", "ünïcödé-id"])
def test_malformed_id_is_replaced_by_a_new_one(offered: str | None) -> None:
    begun = correlation.begin(offered)
    assert begun != offered
    assert len(begun) == 32
