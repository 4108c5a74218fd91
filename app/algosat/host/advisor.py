"""Advice about the machine, from the history of its readings. Pure: equal facts give equal advice.

Each rule is one function. An advice states what was found, why it matters, the figures over time, and the
inventory variable that changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from algosat.config.settings import AlgosatFile, VpsSettings
from algosat.host.history import History
from algosat.host.probe import Reading
from algosat.host.trends import Leak, leaks

_MIB: Final = 2**20
_DAY: Final = 1440  # minutes
_POINTS: Final = 24  # of evidence, at most
_CPU_LASTS: Final = 5  # minutes before the processors' load counts
_RELEASE: Final = 5.0  # points below a threshold at which it is no longer exceeded
_SETTLED: Final = 2  # values below it, before that
_TREND_MINUTES: Final = 120  # before the growth of the disk counts
_WEEK: Final = 7.0  # days: a disk that is full within it needs advice
_SWAP_BELOW: Final = 8 * 2**30  # bytes of memory; a larger machine does not need swap
_WORKER_BYTES: Final = 110 * _MIB


class Urgency(StrEnum):
    NOTICE = "notice"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A figure over time, oldest first."""

    figure: str
    unit: str
    since: float  # seconds since 1970
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    subject: str  # memory, cpu, disk, inodes, swap, descriptors, leak, workers or pool
    urgency: Urgency
    finding: str
    reason: str  # why it matters
    remedy: str
    variable: str | None  # of the inventory; None: no variable changes it
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What advice follows from."""

    history: History
    settings: AlgosatFile
    is_container: bool = False  # swap and kernel settings are its host's

    @property
    def mean(self) -> Reading | None:
        return self.history.mean or (self.history.minutes[-1] if self.history.minutes else None)


def exceeded(history: History, thresholds: VpsSettings) -> list[str]:
    """Return the exceeded thresholds, in words.

    Load counts once it has lasted five minutes, memory as the mean of a minute, the disk at once. A threshold
    is no longer exceeded when the value has stayed clearly below it.
    """
    latest = [each.disk_percent for each in history.recent]
    found = (
        ("memory", history.series(lambda each: each.memory_percent), thresholds.memory_threshold, 1),
        ("cpu", history.series(lambda each: each.cpu_percent), thresholds.cpu_threshold, _CPU_LASTS),
        ("disk", [each.disk_percent for each in history.minutes] + latest, thresholds.disk_threshold, 1),
    )
    return [
        f"{name} at {values[-1]:.0f} % of {limit} %"
        for name, values, limit, lasts in found
        if is_exceeded(values, limit, lasts=lasts)
    ]


def is_exceeded(values: Sequence[float], limit: float, *, lasts: int) -> bool:
    """Return whether a threshold is exceeded at the end of the values.

    It is from `lasts` values in a row at or above it on, until two in a row are clearly below it.
    """
    state, above, below = False, 0, 0
    for value in values:
        above = above + 1 if value >= limit else 0
        below = below + 1 if value < limit - _RELEASE else 0
        state = below < _SETTLED if state else above >= lasts
    return state


def advise(facts: Facts) -> list[Advice]:
    """Return advice for the operator; none while optimisation is disabled."""
    if not facts.settings.vps.optimization_enabled:
        return []
    return [advice for rule in RULES for advice in rule(facts)]


def _memory(facts: Facts) -> Iterator[Advice]:
    values, limit = _series(facts, lambda each: each.memory_percent), facts.settings.vps.memory_threshold
    if is_exceeded(values, limit, lasts=1):
        yield Advice(
            "memory",
            Urgency.WARNING,
            f"{values[-1]:.0f} % of the memory is in use, the threshold is {limit} %",
            "When memory ends, the kernel kills a process, and commits wait while it searches for pages",
            f"Lower algosat_api_workers (now {facts.settings.api.workers}), stop what else runs here, or "
            "take a larger machine",
            "algosat_api_workers",
            _evidence(facts, "memory in use", "percent", lambda each: each.memory_percent),
        )


def _swap(facts: Facts) -> Iterator[Advice]:
    mean = facts.mean
    if mean is None or facts.is_container:
        return
    if mean.swap_total == 0 and mean.memory_total < _SWAP_BELOW:
        yield Advice(
            "swap",
            Urgency.NOTICE,
            "There is no swap",
            "A short peak ends with the kernel killing a process",
            "Set common_swapfile_mib to 1024, its default, and run site.yml",
            "common_swapfile_mib",
        )
    elif mean.swap_percent >= 50:
        yield Advice(
            "swap",
            Urgency.WARNING,
            f"{mean.swap_percent:.0f} % of the swap is in use",
            "There is too little memory: what is swapped out answers in milliseconds instead of microseconds",
            "Lower algosat_api_workers, or take a machine with more memory",
            "algosat_api_workers",
            _evidence(facts, "swap in use", "percent", lambda each: each.swap_percent),
        )


def _cpu(facts: Facts) -> Iterator[Advice]:
    values, limit = _series(facts, lambda each: each.cpu_percent), facts.settings.vps.cpu_threshold
    mean = facts.mean
    if is_exceeded(values, limit, lasts=_CPU_LASTS):
        yield Advice(
            "cpu",
            Urgency.WARNING,
            f"The processors have been busy for at least {_CPU_LASTS} minutes: {values[-1]:.0f} %, the "
            f"threshold is {limit} %",
            "Orders wait for a processor while this lasts",
            f"Stop or move what takes the time{_busiest(facts)}, or take a machine with more processors",
            None,
            _evidence(facts, "processors' time in use", "percent", lambda each: each.cpu_percent),
        )
    elif mean is not None and mean.load_average[2] > 2 * mean.cpu_count:
        yield Advice(
            "cpu",
            Urgency.WARNING,
            f"The load over 15 minutes is {mean.load_average[2]:.1f} on {mean.cpu_count} processors",
            "Processes wait for a processor or the disk, and orders with them",
            f"Take a machine with more processors, or move other services away{_busiest(facts)}",
            None,
            _evidence(facts, "load over one minute", "processes", lambda each: each.load_average[0]),
        )


def _disk(facts: Facts) -> Iterator[Advice]:
    values, limit = _series(facts, lambda each: each.disk_percent), facts.settings.vps.disk_threshold
    evidence = _evidence(facts, "disk space in use", "percent", lambda each: each.disk_percent)
    reason = "A full disk takes no order: halt and cancel go through the emergency journal only"
    remedy = "Keep fewer backups (backup_keep) or less of the journal (common_journal_system_max_use)"
    if is_exceeded(values, limit, lasts=1):
        finding = f"{values[-1]:.0f} % of the data's file system is in use, the threshold is {limit} %"
        remedy = f"{remedy}, or enlarge the disk"
        yield Advice("disk", Urgency.WARNING, finding, reason, remedy, "backup_keep", evidence)
    elif (days := _days_until_full(facts.history)) is not None and days < _WEEK:
        finding = f"At the growth of the last hours the data's file system is full in {days:.1f} days"
        remedy = f"Find what grows (`du -xsh /var/* | sort -h`). {remedy}"
        yield Advice("disk", Urgency.NOTICE, finding, reason, remedy, "backup_keep", evidence)


def _inodes(facts: Facts) -> Iterator[Advice]:
    values, limit = _series(facts, lambda each: each.inodes_percent), facts.settings.vps.disk_threshold
    if is_exceeded(values, limit, lasts=1):
        yield Advice(
            "inodes",
            Urgency.WARNING,
            f"{values[-1]:.0f} % of the file system's inodes are in use, the threshold is {limit} %",
            "Without inodes no file can be created, although there is space",
            "Remove the directory with the most small files (`du --inodes -xs /var/* | sort -n`)",
            None,
            _evidence(facts, "inodes in use", "percent", lambda each: each.inodes_percent),
        )


def _descriptors(facts: Facts) -> Iterator[Advice]:
    values = _series(facts, lambda each: each.descriptors_percent)
    if is_exceeded(values, 80, lasts=1):
        yield Advice(
            "descriptors",
            Urgency.WARNING,
            f"{values[-1]:.0f} % of the file descriptors that the kernel permits are open",
            "Without descriptors no connection is accepted and no file opened, in any process",
            "Find the process that holds them (`ls /proc/*/fd | wc -l` for each), or raise fs.file-max in "
            "sysctl_settings",
            "sysctl_settings",
            _evidence(facts, "descriptors in use", "percent", lambda each: each.descriptors_percent),
        )


def _leaks(facts: Facts) -> Iterator[Advice]:
    for leak in leaks(facts.history):
        name = leak.process.name
        yield Advice(
            "leak",
            Urgency.WARNING,
            f"{_grown(leak)} in the process {name} ({leak.process.pid}), "
            f"with {leak.confidence:.1%} confidence",
            _ends(leak, facts.mean),
            f"{_restart(name)}. Report it with the figures of `algosat host report`",
            None,
            Evidence(_OF_LEAKS[leak.quantity][0], _OF_LEAKS[leak.quantity][1], leak.since, leak.values),
        )


def _workers(facts: Facts) -> Iterator[Advice]:
    mean, workers = facts.mean, facts.settings.api.workers
    needed = (workers + 1) * _WORKER_BYTES
    if mean is not None and needed > mean.memory_total / 2 and workers > 1:
        yield Advice(
            "workers",
            Urgency.NOTICE,
            f"{workers} web workers may need {needed // _MIB} MiB of {mean.memory_total // _MIB} MiB",
            "The engine, the store's cache and the machine need the other half",
            f"Set algosat_api_workers to {max(1, mean.memory_total // 2 // _WORKER_BYTES - 1)}",
            "algosat_api_workers",
        )


def _pool(facts: Facts) -> Iterator[Advice]:
    database, threads = facts.settings.database, facts.settings.api.threads
    size = database.pool_size + database.max_overflow
    if database.url.get_secret_value().startswith("postgresql") and size < threads:
        yield Advice(
            "pool",
            Urgency.NOTICE,
            f"{threads} threads of a worker share {size} connections to PostgreSQL",
            "A request waits for a connection although a thread is free",
            f"Set algosat_database_pool_size to {threads - database.max_overflow}",
            "algosat_database_pool_size",
        )


RULES: Final[Sequence[Callable[[Facts], Iterator[Advice]]]] = (
    _memory,
    _swap,
    _cpu,
    _disk,
    _inodes,
    _descriptors,
    _leaks,
    _workers,
    _pool,
)
_OF_LEAKS: Final = {
    "resident_bytes": ("resident memory", "bytes"),
    "open_fds": ("open file descriptors", "descriptors"),
    "threads": ("threads", "threads"),
}
_UNITS: Final = {"api": "algosat", "api-worker": "algosat", "engine": "algosat-engine"}


def _series(facts: Facts, value: Callable[[Reading], float]) -> list[float]:
    return facts.history.series(value) or [0.0]


def _evidence(facts: Facts, figure: str, unit: str, value: Callable[[Reading], float]) -> Evidence | None:
    """Return a figure over the whole history, thinned out to a few points."""
    readings = [*facts.history.minutes, *facts.history.recent[-1:]]
    if not readings:
        return None
    step = -(-len(readings) // _POINTS)
    chosen = readings[::-step][::-1]  # the last one is always among them
    return Evidence(figure, unit, chosen[0].at, tuple(round(value(each), 2) for each in chosen))


def _days_until_full(history: History) -> float | None:
    """Return in how many days the disk is full at its growth over the history; None if it does not grow."""
    minutes = history.minutes
    if len(minutes) < _TREND_MINUTES:
        return None
    middle = len(minutes) // 2
    first = minutes[0].disk_free - minutes[middle].disk_free
    second = minutes[middle].disk_free - minutes[-1].disk_free
    if first <= 0 or second <= 0:  # one large file is no growth
        return None
    return minutes[-1].disk_free / ((first + second) / (len(minutes) - 1)) / _DAY


def _busiest(facts: Facts) -> str:
    """Return the Algosat process that took most time in the last minutes, in brackets; empty if unknown."""
    if len(facts.history.minutes) < 2:
        return ""
    before = {(each.pid, each.started_at): each.cpu_seconds for each in facts.history.minutes[-2].processes}
    used = {
        each.name: each.cpu_seconds - before[each.pid, each.started_at]
        for each in facts.history.minutes[-1].processes
        if (each.pid, each.started_at) in before
    }
    if not used:
        return ""
    name = max(used, key=used.__getitem__)
    return f" (of Algosat, {name} used {used[name]:.0f} s in the last minute)"


def _grown(leak: Leak) -> str:
    if leak.quantity == "resident_bytes":
        return f"Memory grows by {leak.per_minute / _MIB:.1f} MiB a minute"
    return f"The number of {_OF_LEAKS[leak.quantity][0]} grows by {leak.per_minute:.1f} a minute"


def _ends(leak: Leak, mean: Reading | None) -> str:
    if leak.quantity != "resident_bytes" or mean is None:
        return "The process fails when it reaches its limit"
    hours = mean.memory_available / leak.per_minute / 60
    return f"The machine's memory ends in about {hours:.0f} hours at this growth"


def _restart(name: str) -> str:
    if name.startswith("strategy-"):
        strategy = name.removeprefix("strategy-")
        return f"Stop and start the strategy: algosat strategy stop {strategy}, then start"
    unit = _UNITS.get(name, "algosat-strategies")
    return f"Restart it outside market hours: sudo systemctl restart {unit}"
