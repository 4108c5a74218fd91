from __future__ import annotations

import pytest

from algosat.domain.scope import ACCOUNT, IN_BASELINES, IN_HALTS, IN_LIMITS, Scope


@pytest.mark.parametrize("account", [IN_HALTS, IN_LIMITS, IN_BASELINES])
def test_scope_is_read_back_from_its_name(account: str) -> None:
    for scope in (ACCOUNT, Scope("trend")):
        assert Scope.named(scope.name(account), account) == scope


def test_account_covers_everything_and_a_strategy_only_itself() -> None:
    strategies = (None, "", "trend", "other")
    assert [ACCOUNT.covers(each) for each in strategies] == [True, True, True, True]
    assert [Scope("trend").covers(each) for each in strategies] == [False, False, True, False]


def test_scope_with_an_empty_name_covers_orders_placed_by_hand() -> None:
    by_hand = Scope.named("", IN_HALTS)
    assert [by_hand.covers(each) for each in (None, "", "trend")] == [True, True, False]
