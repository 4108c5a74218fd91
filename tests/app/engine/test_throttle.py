from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from algosat.engine.throttle import Throttle

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


def acquired(throttle: Throttle, *seconds: float) -> list[bool]:
    return [throttle.try_acquire(NOON + timedelta(seconds=each)) for each in seconds]


def test_limit_per_second_counts_calendar_seconds() -> None:
    throttle = Throttle(2, 100, 100)
    assert acquired(throttle, 0.8, 0.9, 0.95) == [True, True, False]
    assert acquired(throttle, 1.0, 1.1, 1.2) == [True, True, False]


def test_limit_per_minute_counts_a_sliding_window() -> None:
    throttle = Throttle(10, 3, 100)
    assert acquired(throttle, 0, 10, 20, 30) == [True, True, True, False]
    assert acquired(throttle, 60.0, 60.1) == [True, False]


def test_limit_per_day_starts_again_at_midnight_utc() -> None:
    throttle = Throttle(10, 10, 2)
    assert acquired(throttle, 0, 100, 200) == [True, True, False]
    assert acquired(throttle, 12 * 3600) == [True]


def test_cancels_neither_need_nor_use_the_days_orders() -> None:
    throttle = Throttle(10, 10, 2)
    assert [throttle.try_acquire(NOON, is_new=False) for _ in range(3)] == [True, True, True]
    assert acquired(throttle, 1, 2, 3) == [True, True, False]
    assert throttle.try_acquire(NOON + timedelta(seconds=4), is_new=False)


def test_exits_do_not_need_the_days_orders_and_use_them() -> None:
    throttle = Throttle(10, 10, 2)
    assert [throttle.try_acquire(NOON, is_exit=True) for _ in range(3)] == [True, True, True]
    assert acquired(throttle, 1) == [False]
    limited = Throttle(2, 10, 10)
    assert [limited.try_acquire(NOON, is_exit=True) for _ in range(3)] == [True, True, False]


def test_orders_sent_before_a_restart_count() -> None:
    throttle = Throttle(10, 10, 2, sent=[NOON - timedelta(hours=1), NOON - timedelta(seconds=5)])
    assert not throttle.try_acquire(NOON)


def test_pause_blocks_all_requests() -> None:
    throttle = Throttle(10, 10, 10)
    throttle.pause(NOON + timedelta(seconds=2))
    throttle.pause(NOON + timedelta(seconds=1))
    assert acquired(throttle, 1.5, 2.0) == [False, True]


@given(st.lists(st.floats(0, 5), min_size=30, max_size=80))
def test_no_calendar_second_exceeds_the_limit(gaps: list[float]) -> None:
    throttle, at, per_second = Throttle(3, 1000, 1000), NOON, dict[datetime, int]()
    for gap in gaps:
        at += timedelta(seconds=gap / 10)
        if throttle.try_acquire(at):
            second = at.replace(microsecond=0)
            per_second[second] = per_second.get(second, 0) + 1
    assert max(per_second.values()) <= 3


def test_setting_the_clock_back_blocks_requests_for_a_minute_at_most() -> None:
    throttle = Throttle(2, 3, 100)
    assert acquired(throttle, 3600, 3600, 3601) == [True, True, True]
    assert acquired(throttle, 0, 61) == [False, True]


def test_setting_the_clock_back_does_not_reset_the_day() -> None:
    throttle = Throttle(10, 10, 2)
    assert acquired(throttle, 12 * 3600, 12 * 3600) == [True, True]
    assert acquired(throttle, 11 * 3600) == [False]


def test_setting_the_clock_back_ends_a_pause() -> None:
    throttle = Throttle(10, 10, 10)
    throttle.pause(NOON + timedelta(hours=1, seconds=1))
    assert acquired(throttle, 0) == [True]
