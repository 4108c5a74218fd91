from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from algosat.errors import Component, ErrorCategory, ErrorSeverity, StoreBusy
from algosat.resilience.error_analytics import (
    ErrorAnalytics,
    Occurrences,
    RecoveryTotals,
    RequestTotals,
    analyse,
    read_analytics,
)
from algosat.resilience.error_log import ErrorLog, Recovery
from algosat.resilience.error_store import INTERVAL, ErrorEntry
from algosat.store.database import Database
from algosat.store.writer import Writer
from tests.app.builders import NOW
from tests.app.fakes import FakeClock

DAY = timedelta(days=1)
SINCE = NOW - DAY


def entry(code: str = "store_busy", **differences: object) -> ErrorEntry:
    values = {
        "fingerprint": code,
        "code": code,
        "severity": ErrorSeverity.HIGH,
        "category": ErrorCategory.DATABASE,
        "component": Component.DATABASE,
        "place": "/orders",
        "message": "no answer",
        "correlation_id": "-",
        "release": "2",
        "count": 1,
        "first_at": SINCE,
        "last_at": NOW,
    }
    return ErrorEntry(**{**values, **differences})  # type: ignore[arg-type]


BUSY = entry()
AWAY = entry("engine_away", component=Component.ENGINE, category=ErrorCategory.SYSTEM)


def at(number: int) -> datetime:
    """Return the beginning of an interval of the day; negative: of the day before."""
    return SINCE + number * INTERVAL


def analysed(*occurrences: Occurrences, requests: Iterable[RequestTotals] = ()) -> ErrorAnalytics:
    return analyse(occurrences, list(requests), [], SINCE, NOW, "2")


def test_period_is_compared_with_the_one_before() -> None:
    found = analysed(Occurrences(BUSY, at(-3), 4), Occurrences(BUSY, at(0), 2), Occurrences(AWAY, at(9), 1))
    assert (found.total, found.before) == (3, 4)
    assert found.by_component == {Component.DATABASE: 2, Component.ENGINE: 1}
    assert found.by_severity == {ErrorSeverity.HIGH: 3}
    assert [(each.code, count) for each, count in found.most_frequent] == [
        ("store_busy", 2),
        ("engine_away", 1),
    ]


def test_trend_has_every_hour_of_a_day() -> None:
    found = analysed(Occurrences(BUSY, at(0), 2), Occurrences(BUSY, at(11), 1), Occurrences(BUSY, at(287), 5))
    steps = list(found.trend.items())
    assert len(steps) == 24
    assert steps[0] == (SINCE, {ErrorSeverity.HIGH: 3})
    assert steps[-1] == (NOW - timedelta(hours=1), {ErrorSeverity.HIGH: 5})


def test_interval_far_above_the_usual_number_is_a_burst() -> None:
    usual = [Occurrences(BUSY, at(number), 1) for number in range(0, 100, 2)]
    found = analysed(*usual, Occurrences(BUSY, at(201), 75))
    assert [(each.at, each.count) for each in found.bursts] == [(at(201), 75)]
    assert found.bursts[0].usual == pytest.approx(50 / 287)


@pytest.mark.parametrize(
    "occurrences",
    [
        [Occurrences(BUSY, at(number), 20) for number in range(288)],  # always as many
        [Occurrences(BUSY, at(3), 9)],  # too few
        [],
    ],
)
def test_steady_and_rare_errors_are_no_burst(occurrences: list[Occurrences]) -> None:
    assert analysed(*occurrences).bursts == []


def test_components_that_fail_in_the_same_intervals_are_named() -> None:
    both = [Occurrences(of, at(number), 1) for number in (3, 40, 41) for of in (BUSY, AWAY)]
    found = analysed(*both, Occurrences(BUSY, at(7), 1))
    (pair,) = found.failing_together
    assert (pair.components, pair.intervals, pair.share) == ((Component.DATABASE, Component.ENGINE), 3, 0.75)


def test_components_that_rarely_fail_together_are_not_named() -> None:
    apart = [Occurrences(BUSY, at(number), 1) for number in range(20)]
    together = [Occurrences(AWAY, at(number), 1) for number in (1, 5)]
    assert analysed(*apart, *together).failing_together == []


def test_error_of_the_running_release_only_is_new() -> None:
    old = entry("old", release="1")
    before = entry("before", first_at=SINCE - DAY)
    kept = entry("kept", release=None)
    found = analysed(*(Occurrences(each, at(1), 1) for each in (BUSY, old, before, kept)))
    assert [each.code for each in found.new_in_release] == ["store_busy"]


def test_cost_is_the_failed_requests_and_the_time_of_all_others() -> None:
    low = entry("not_found", severity=ErrorSeverity.LOW)
    found = analysed(
        Occurrences(BUSY, at(1), 3, requests=3, milliseconds=6000),
        Occurrences(low, at(2), 50),
        requests=[RequestTotals(at(1), 10, 3, 9000), RequestTotals(at(2), 100, 0, 1000)],
    )
    cost = found.cost
    assert (cost.requests, cost.failed, cost.failed_seconds) == (110, 3, 6)
    assert (cost.mean_ms_with_errors, cost.mean_ms_without_errors) == (900, 10)
    assert analysed().cost.mean_ms_with_errors is None


def test_success_rate_and_mean_time_of_recoveries() -> None:
    totals = RecoveryTotals("order_search", 3, 1, 4500)
    assert (totals.success_rate, totals.mean_seconds) == (0.75, 1.5)
    assert RecoveryTotals("round", 0, 0, 0).success_rate == 0


def test_analytics_are_read_from_what_the_log_wrote(
    database: Database, writer: Writer, clock: FakeClock
) -> None:
    log = ErrorLog(writer, clock)
    log.record(StoreBusy("no answer"), "/orders", seconds=2)
    log.record(StoreBusy("no answer"), "engine paper route")
    log.recovered(Recovery.ORDER_SEARCH, "orders paper", succeeded=True, seconds=1.5)
    log.recovered(Recovery.ORDER_SEARCH, "orders other", succeeded=False)
    log.count_request(200, 0.01)
    log.count_request(503, 2)
    log.close()
    with database.read() as connection:
        found = read_analytics(connection, clock(), DAY)
        assert read_analytics(connection, clock() + 3 * DAY, DAY).total == 0
    assert (found.total, found.before, len(found.new_in_release)) == (2, 0, 2)
    assert (found.cost.requests, found.cost.failed, found.cost.failed_seconds) == (2, 1, 2)
    assert found.recoveries == [RecoveryTotals("order_search", 1, 1, 1500)]
