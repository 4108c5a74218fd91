"""The budget of calls to a broker, and how the engine keeps to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algosat.brokers.base import CallKind, Period, Quota
from algosat.config.settings import Settings
from algosat.engine.budget import Budget, quotas_of
from algosat.errors import BrokerRateLimited
from algosat.trading.desk import Desk
from tests.app.desks import SECOND, buy, hold, order_now, sell
from tests.app.engine.rig import EngineRig, build_rig, failing, heartbeat_of, no_fault
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
NEW = frozenset({CallKind.EXIT, CallKind.ORDER})
WRITES = NEW | {CallKind.CANCEL, CallKind.MODIFY}


def orders_only(second: int, minute: int, day: int) -> tuple[Quota, ...]:
    """Return quotas like those of the settings, which permit these numbers of entries."""
    return (
        Quota(with_rest(second), Period.SECOND, WRITES),
        Quota(with_rest(minute), Period.MINUTE, WRITES),
        Quota(day, Period.DAY, NEW),
    )


def with_rest(entries: int) -> int:
    """Return the least quota of which entries may use so many."""
    return next(limit for limit in range(2 * entries + 2) if int(limit * 0.9) == entries)


def acquired(budget: Budget, *seconds: float, kind: CallKind = CallKind.ORDER) -> list[bool]:
    return [budget.try_acquire(kind, NOON + timedelta(seconds=each)) for each in seconds]


def number_of(budget: Budget, kind: CallKind, *, at: float = 0) -> int:
    """Return how many calls of this kind are permitted at one moment."""
    number = 0
    while budget.try_acquire(kind, NOON + timedelta(seconds=at)):
        number += 1
    return number


def test_quota_of_a_second_counts_calendar_seconds() -> None:
    budget = Budget(orders_only(2, 100, 100))
    assert acquired(budget, 0.8, 0.9, 0.95) == [True, True, False]
    assert acquired(budget, 1.0, 1.1, 1.2) == [True, True, False]


def test_quota_of_a_minute_counts_the_last_sixty_seconds_of_the_clock() -> None:
    budget = Budget(orders_only(10, 3, 100))
    assert acquired(budget, 0.9, 10, 20, 30) == [True, True, True, False]
    assert acquired(budget, 59.9, 60.0, 60.1) == [False, True, False]


def test_quota_of_a_day_starts_again_at_midnight_utc() -> None:
    budget = Budget(orders_only(10, 10, 2))
    assert acquired(budget, 0, 100, 200) == [True, True, False]
    assert acquired(budget, 12 * 3600) == [True]


def test_cancels_neither_need_nor_use_the_days_orders() -> None:
    budget = Budget(orders_only(10, 10, 2))
    assert acquired(budget, 0, 0, 0, kind=CallKind.CANCEL) == [True, True, True]
    assert acquired(budget, 1, 2, 3) == [True, True, False]
    assert acquired(budget, 4, kind=CallKind.MODIFY) == [True]


def test_exits_do_not_need_the_days_orders_and_use_them() -> None:
    budget = Budget(orders_only(10, 10, 2))
    assert acquired(budget, 0, 0, 0, kind=CallKind.EXIT) == [True, True, True]
    assert acquired(budget, 1) == [False]
    assert number_of(Budget(orders_only(2, 10, 10)), CallKind.EXIT) == 3


def test_exits_and_cancels_pass_when_all_calls_of_the_day_are_used() -> None:
    budget = Budget((Quota(1, Period.DAY),))
    assert acquired(budget, 0, 1) == [True, False]
    assert acquired(budget, 2, kind=CallKind.EXIT) == acquired(budget, 3, kind=CallKind.CANCEL) == [True]
    assert acquired(budget, 4, kind=CallKind.BOOK) == [False]


def test_orders_sent_before_a_restart_count() -> None:
    sent = [NOON - timedelta(hours=1), NOON - timedelta(seconds=5)]
    assert acquired(Budget(orders_only(10, 10, 2), sent=sent), 0) == [False]
    assert acquired(Budget(orders_only(10, 1, 9), sent=sent), 0, 55) == [False, True]


def test_readings_leave_room_for_what_has_precedence() -> None:
    budget = Budget((Quota(10, Period.SECOND),))
    assert number_of(budget, CallKind.HISTORY) == 4
    assert number_of(budget, CallKind.QUOTES) == 2
    assert number_of(budget, CallKind.BOOK) == 2
    assert number_of(budget, CallKind.ORDER) == 1
    assert number_of(budget, CallKind.EXIT) == 1
    assert number_of(budget, CallKind.CANCEL, at=1) == 10


def test_entries_and_modifications_leave_a_rest_to_exits_and_cancels() -> None:
    for quota in (Quota(2, Period.SECOND), Quota(10, Period.SECOND), Quota(400, Period.MINUTE)):
        budget = Budget((quota,))
        assert number_of(budget, CallKind.ORDER) == int(quota.limit * 0.9)
        number_of(budget, CallKind.MODIFY)
        assert number_of(budget, CallKind.EXIT) > 0
        assert number_of(budget, CallKind.CANCEL) == 0
    assert number_of(Budget((Quota(10, Period.DAY),)), CallKind.ORDER) == 10


def test_quota_of_readings_alone_can_be_used_whole() -> None:
    budget = Budget((Quota(3, Period.SECOND, frozenset({CallKind.HISTORY})),))
    assert number_of(budget, CallKind.HISTORY) == 3
    assert number_of(Budget((Quota(1, Period.SECOND),)), CallKind.HISTORY) == 1


def test_narrowest_of_several_quotas_applies() -> None:
    narrow = Quota(2, Period.SECOND, frozenset({CallKind.QUOTES}))
    budget = Budget((Quota(10, Period.SECOND), narrow))
    assert number_of(budget, CallKind.QUOTES) == 2
    assert number_of(budget, CallKind.ORDER) == 7


def test_refusal_of_the_broker_pauses_calls_for_as_long_as_it_asks() -> None:
    budget = Budget(orders_only(10, 10, 10))
    budget.strike(CallKind.ORDER, NOON, timedelta(seconds=2))
    budget.strike(CallKind.ORDER, NOON)
    assert budget.paused_until(NOON) == NOON + timedelta(seconds=2)
    assert acquired(budget, 1.5, 2.0) == [False, True]
    assert budget.paused_until(NOON + timedelta(seconds=2)) is None


@pytest.mark.parametrize("refused", CallKind)
def test_refusal_pauses_no_call_with_precedence(refused: CallKind) -> None:
    budget = Budget(())
    budget.strike(refused, NOON, timedelta(minutes=1))
    paused = [kind for kind in CallKind if not budget.try_acquire(kind, NOON + timedelta(seconds=1))]
    assert paused == [kind for kind in CallKind if kind >= refused]


def test_calls_left_are_those_of_the_narrowest_quota_of_each_period() -> None:
    budget = Budget((*orders_only(5, 20, 50), Quota(20, Period.SECOND)))
    assert acquired(budget, 0, 0) == [True, True]
    assert budget.left(NOON) == {"second": 3, "minute": 18, "day": 48}
    assert budget.left(NOON + timedelta(seconds=1)) == {"second": 5, "minute": 18, "day": 48}
    assert budget.left(NOON + timedelta(minutes=1)) == {"second": 5, "minute": 20, "day": 48}


def test_quotas_declared_later_count_the_orders_sent_before_the_start() -> None:
    budget = Budget((), sent=[NOON - timedelta(seconds=5)])
    budget.declare(orders_only(10, 1, 9))
    assert acquired(budget, 0, 55) == [False, True]


def test_absurd_pause_is_cut_to_a_minute() -> None:
    budget = Budget(())
    budget.strike(CallKind.ORDER, NOON, timedelta(days=1))
    assert acquired(budget, 59, 60) == [False, True]


def test_before_the_breach_that_bans_only_exits_and_the_book_are_called() -> None:
    budget = Budget((Quota(100, Period.MINUTE, strikes=2),))
    budget.strike(CallKind.ORDER, NOON)
    assert acquired(budget, 2) == [True]
    budget.strike(CallKind.ORDER, NOON)
    may = [kind for kind in CallKind if budget.try_acquire(kind, NOON + timedelta(seconds=2))]
    assert may == [CallKind.CANCEL, CallKind.EXIT, CallKind.MODIFY, CallKind.BOOK]
    assert acquired(budget, 12 * 3600 + 1) == [True]


def test_counts_and_strikes_outlive_a_restart() -> None:
    quotas = (Quota(6, Period.DAY),)
    before = Budget(quotas)
    assert acquired(before, 0, 1, 2, 3, kind=CallKind.BOOK) == [True] * 4
    before.strike(CallKind.ORDER, NOON)
    assert number_of(Budget(quotas, counted=before.counts(NOON)), CallKind.ORDER) == 2
    strict = Budget((Quota(100, Period.MINUTE, strikes=1),), counted=before.counts(NOON))
    assert acquired(strict, 1) == [False]
    assert acquired(strict, 12 * 3600) == [True]


def test_new_orders_are_counted_from_the_ledger_alone() -> None:
    counted = {"ORDER": 2, "EXIT": 1, "CANCEL": 4}
    budget = Budget(orders_only(10, 10, 3), sent=[NOON] * 3, counted=(NOON.date(), counted))
    assert budget.counts(NOON) == (NOON.date(), {"ORDER": 3, "CANCEL": 4})


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from(CallKind)), min_size=30, max_size=80))
def test_no_calendar_second_exceeds_the_quota(calls: list[tuple[float, CallKind]]) -> None:
    budget, at, per_second = Budget((Quota(3, Period.SECOND),)), NOON, dict[datetime, int]()
    for gap, kind in calls:
        at += timedelta(seconds=gap / 10)
        if budget.try_acquire(kind, at):
            second = at.replace(microsecond=0)
            per_second[second] = per_second.get(second, 0) + 1
    assert max(per_second.values()) <= 3


def test_thousand_mixed_calls_exceed_no_quota_and_orders_go_first() -> None:
    budget = Budget((Quota(10, Period.SECOND), Quota(200, Period.MINUTE), Quota(600, Period.DAY)))
    kinds, made = (CallKind.HISTORY, CallKind.QUOTES, CallKind.BOOK, CallKind.ORDER), list[CallKind]()
    seconds: list[int] = []
    for number in range(1000):
        kind, at = kinds[number % 4], number / 20
        if budget.try_acquire(kind, NOON + timedelta(seconds=at)):
            made.append(kind)
            seconds.append(int(at))
    assert max(map(seconds.count, set(seconds))) <= 10
    assert max(sum(first <= second < first + 60 for second in seconds) for first in set(seconds)) <= 200
    assert made.count(CallKind.ORDER) > made.count(CallKind.BOOK) > made.count(CallKind.HISTORY) > 0


def test_setting_the_clock_back_blocks_calls_for_a_minute_at_most() -> None:
    budget = Budget(orders_only(2, 3, 100))
    assert acquired(budget, 3600, 3600, 3601) == [True, True, True]
    assert acquired(budget, 0, 61) == [False, True]


def test_setting_the_clock_back_does_not_reset_the_day() -> None:
    budget = Budget(orders_only(10, 10, 2))
    assert acquired(budget, 12 * 3600, 12 * 3600) == [True, True]
    assert acquired(budget, 11 * 3600) == [False]


def test_setting_the_clock_back_ends_a_pause() -> None:
    budget = Budget(orders_only(10, 10, 10))
    budget.strike(CallKind.ORDER, NOON + timedelta(hours=1))
    assert acquired(budget, 0) == [True]


def test_settings_limit_orders_by_second_minute_and_day(settings: Settings) -> None:
    rules = settings.algosat.engine
    limits = [quota.limit for quota in quotas_of(rules)]
    assert limits == [rules.orders_per_second, rules.orders_per_minute, rules.orders_per_day]


# --- in the engine -----------------------------------------------------------------------------------------


class Limited(FakeExchange):
    """An exchange that declares quotas."""

    quotas = (Quota(10, Period.SECOND), Quota(20, Period.DAY))


def test_readings_beyond_the_brokers_quota_are_not_sent(
    desk: Desk, clock: FakeClock, settings: Settings
) -> None:
    requests: list[str] = []
    exchange = Limited(clock)
    exchange.before = requests.append
    rig = build_rig(desk, exchange, settings.algosat.engine)
    for _ in range(9):
        rig.components.reconciler.read_book()
    assert requests == ["reports"] * 8
    rig.send(buy(desk))
    assert requests[8:] == ["place"]


def test_calls_of_the_day_are_kept_over_a_restart(desk: Desk, clock: FakeClock, settings: Settings) -> None:
    exchange = Limited(clock)
    rig = build_rig(desk, exchange, settings.algosat.engine)
    for _ in range(20):
        clock.forward(seconds=1)
        rig.components.reconciler.read_book()
    heartbeat_of(rig.components).write()
    requests: list[str] = []
    exchange.before = requests.append
    clock.forward(seconds=1)
    build_rig(desk, exchange, settings.algosat.engine)
    assert requests == []


def test_refused_reading_pauses_readings_and_no_orders(rig: EngineRig) -> None:
    rig.exchange.before = failing(BrokerRateLimited("429", retry_after=timedelta(seconds=3)), "reports")
    rig.reconcile()
    requests: list[str] = []
    rig.exchange.before = requests.append
    rig.reconcile()
    assert requests == []
    assert rig.send(buy(rig.desk)).broker_order_id == "B1"


def test_refused_entry_pauses_entries_and_no_exits(rig: EngineRig) -> None:
    hold(rig.desk, "10")
    rig.exchange.before = failing(BrokerRateLimited("429", retry_after=timedelta(minutes=1)), "place")
    entry = rig.send(buy(rig.desk, symbol=SECOND))
    rig.exchange.before = no_fault
    rig.exchange.clock.forward(seconds=1)
    exit_order = sell(rig.desk, "10", reduce_only=True)
    rig.route()
    assert rig.exchange.sent == [exit_order.id]
    assert order_now(rig.desk, entry).broker_order_id is None
