"""What the error log shows about a period: trend, bursts, components that fail together, cost, recoveries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Final, TypeVar

from sqlalchemy import Connection, func, select

from algosat.errors import Component, ErrorCategory, ErrorSeverity
from algosat.resilience import error_store
from algosat.resilience.error_store import INTERVAL, ErrorEntry, interval_of
from algosat.store.tables import error_counts, recoveries, request_counts

T = TypeVar("T")

_BURST_AT_LEAST: Final = 10  # errors of one kind in an interval
_BURST_TIMES_USUAL: Final = 5
_TOGETHER_INTERVALS: Final = 3  # in which both components must have failed
_TOGETHER_SHARE: Final = 0.5  # of the intervals in which either of them failed
_LONG_PERIOD: Final = timedelta(hours=6)  # its trend is by hour
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Occurrences:
    """How often one kind of error occurred in one interval, and the requests that failed by it."""

    entry: ErrorEntry
    at: datetime  # when the interval began
    count: int
    requests: int = 0
    milliseconds: int = 0  # that these requests took


@dataclass(frozen=True, slots=True)
class RequestTotals:
    """All requests of one interval."""

    at: datetime
    requests: int
    failed: int
    milliseconds: int


@dataclass(frozen=True, slots=True)
class RecoveryTotals:
    """How often one action succeeded and failed in the period."""

    action: str
    succeeded: int
    failed: int
    milliseconds: int

    @property
    def success_rate(self) -> float:
        return self.succeeded / max(self.succeeded + self.failed, 1)

    @property
    def mean_seconds(self) -> float:
        """The mean time until a recovery that succeeded."""
        return self.milliseconds / 1000 / max(self.succeeded, 1)


@dataclass(frozen=True, slots=True)
class Burst:
    """An interval in which one kind of error occurred far more often than usual."""

    entry: ErrorEntry
    at: datetime
    count: int
    usual: float  # mean number in the other intervals


@dataclass(frozen=True, slots=True)
class FailingTogether:
    """Two components that mostly fail in the same intervals."""

    components: tuple[Component, Component]
    intervals: int  # in which both failed
    share: float  # of the intervals in which either failed


@dataclass(frozen=True, slots=True)
class Cost:
    """What the errors cost the clients."""

    requests: int
    failed: int
    failed_seconds: float  # that failed requests took
    mean_ms_with_errors: float | None  # of all requests in intervals with errors of severity high or above
    mean_ms_without_errors: float | None


@dataclass(frozen=True, slots=True)
class ErrorAnalytics:
    since: datetime
    until: datetime
    total: int
    before: int  # errors in the period of the same length before
    trend: Mapping[datetime, Counter[ErrorSeverity]]  # by the beginning of the hour, or of the interval
    by_severity: Counter[ErrorSeverity]
    by_category: Counter[ErrorCategory]
    by_component: Counter[Component]
    most_frequent: Sequence[tuple[ErrorEntry, int]]
    bursts: Sequence[Burst]
    failing_together: Sequence[FailingTogether]
    new_in_release: Sequence[ErrorEntry]
    cost: Cost
    recoveries: Sequence[RecoveryTotals]


def read_analytics(connection: Connection, until: datetime, period: timedelta) -> ErrorAnalytics:
    """Read and analyse the intervals of a period, the last of which is under way."""
    since = interval_of(until) + INTERVAL - period
    return analyse(
        _occurrences(connection, since - period),
        _requests(connection, since),
        _recoveries(connection, since),
        since,
        until,
        error_store.release(),
    )


def analyse(
    occurrences: Iterable[Occurrences],
    requests: Sequence[RequestTotals],
    recovered: Sequence[RecoveryTotals],
    since: datetime,
    until: datetime,
    release: str,
) -> ErrorAnalytics:
    """Analyse a period. The occurrences may begin one period earlier, to compare with."""
    known = list(occurrences)
    present = [each for each in known if each.at >= since]
    counts: dict[str, int] = defaultdict(int)
    entries = {each.entry.fingerprint: each.entry for each in present}
    for each in present:
        counts[each.entry.fingerprint] += each.count
    total = sum(counts.values())
    most = sorted(counts.items(), key=lambda each: each[1], reverse=True)
    return ErrorAnalytics(
        since=since,
        until=until,
        total=total,
        before=sum(each.count for each in known) - total,
        trend=_trend(present, since, until),
        by_severity=_sums((each.entry.severity, each.count) for each in present),
        by_category=_sums((each.entry.category, each.count) for each in present),
        by_component=_sums((each.entry.component, each.count) for each in present),
        most_frequent=[(entries[fingerprint], count) for fingerprint, count in most[:10]],
        bursts=_bursts(present, since, until),
        failing_together=_failing_together(present),
        new_in_release=[
            entry for entry in entries.values() if entry.release == release and entry.first_at >= since
        ],
        cost=_cost(present, requests),
        recoveries=recovered,
    )


def _sums(counted: Iterable[tuple[T, int]]) -> Counter[T]:
    sums: Counter[T] = Counter()
    for key, count in counted:
        sums[key] += count
    return sums


def _trend(
    present: Iterable[Occurrences], since: datetime, until: datetime
) -> dict[datetime, Counter[ErrorSeverity]]:
    """Return the numbers by severity in each step of the period, steps without errors included."""
    step = _HOUR if until - since >= _LONG_PERIOD else INTERVAL
    number = max(-(-(until - since) // step), 1)
    trend: dict[datetime, Counter[ErrorSeverity]] = {since + each * step: Counter() for each in range(number)}
    for each in present:
        at = since + (each.at - since) // step * step
        trend.setdefault(at, Counter())[each.entry.severity] += each.count
    return trend


def _bursts(present: Iterable[Occurrences], since: datetime, until: datetime) -> list[Burst]:
    intervals = max((until - since) // INTERVAL, 1)
    of_kind: dict[str, list[Occurrences]] = defaultdict(list)
    for each in present:
        of_kind[each.entry.fingerprint].append(each)
    found = []
    for kind in of_kind.values():
        total = sum(each.count for each in kind)
        for each in kind:
            usual = (total - each.count) / max(intervals - 1, 1)
            if each.count >= _BURST_AT_LEAST and each.count > _BURST_TIMES_USUAL * usual:
                found.append(Burst(each.entry, each.at, each.count, usual))
    return sorted(found, key=lambda burst: burst.count, reverse=True)


def _failing_together(present: Iterable[Occurrences]) -> list[FailingTogether]:
    failed: dict[Component, set[datetime]] = defaultdict(set)
    for each in present:
        if each.entry.severity is not ErrorSeverity.LOW:
            failed[each.entry.component].add(each.at)
    found = []
    for one, other in combinations(sorted(failed), 2):
        both, either = failed[one] & failed[other], failed[one] | failed[other]
        share = len(both) / len(either)
        if len(both) >= _TOGETHER_INTERVALS and share >= _TOGETHER_SHARE:
            found.append(FailingTogether((one, other), len(both), share))
    return sorted(found, key=lambda each: each.share, reverse=True)


def _cost(present: Sequence[Occurrences], requests: Sequence[RequestTotals]) -> Cost:
    bad = {each.at for each in present if each.entry.severity in (ErrorSeverity.HIGH, ErrorSeverity.CRITICAL)}
    return Cost(
        requests=sum(each.requests for each in requests),
        failed=sum(each.failed for each in requests),
        failed_seconds=sum(each.milliseconds for each in present) / 1000,
        mean_ms_with_errors=_mean_ms(each for each in requests if each.at in bad),
        mean_ms_without_errors=_mean_ms(each for each in requests if each.at not in bad),
    )


def _mean_ms(requests: Iterable[RequestTotals]) -> float | None:
    chosen = list(requests)
    number = sum(each.requests for each in chosen)
    return sum(each.milliseconds for each in chosen) / number if number else None


def _occurrences(connection: Connection, since: datetime) -> list[Occurrences]:
    statement = select(error_counts).where(error_counts.c.at >= since).order_by(error_counts.c.at)
    rows = connection.execute(statement).all()
    entries = error_store.by_fingerprint(connection)
    return [
        Occurrences(entries[row.fingerprint], row.at, row._mapping["count"], row.requests, row.milliseconds)
        for row in rows
        if row.fingerprint in entries
    ]


def _requests(connection: Connection, since: datetime) -> list[RequestTotals]:
    rows = connection.execute(select(request_counts).where(request_counts.c.at >= since))
    return [RequestTotals(row.at, row.requests, row.failed, row.milliseconds) for row in rows]


def _recoveries(connection: Connection, since: datetime) -> list[RecoveryTotals]:
    sums = (func.sum(recoveries.c[name]).label(name) for name in ("succeeded", "failed", "milliseconds"))
    statement = (
        select(recoveries.c.action, *sums)
        .where(recoveries.c.at >= since)
        .group_by(recoveries.c.action)
        .order_by(recoveries.c.action)
    )
    return [
        RecoveryTotals(row.action, int(row.succeeded), int(row.failed), int(row.milliseconds))
        for row in connection.execute(statement)
    ]
