"""Advice about the machine, from a reading and the thresholds. Pure: equal readings give equal advice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from algosat.config.settings import VpsSettings
from algosat.host.probe import Reading


class Urgency(StrEnum):
    NOTICE = "notice"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Advice:
    subject: str  # memory, cpu, disk, swap
    urgency: Urgency
    finding: str
    remedy: str


def exceeded(reading: Reading, thresholds: VpsSettings) -> list[str]:
    """Return the exceeded thresholds, in words."""
    limits = (
        ("memory", reading.memory_percent, thresholds.memory_threshold),
        ("cpu", reading.cpu_percent, thresholds.cpu_threshold),
        ("disk", reading.disk_percent, thresholds.disk_threshold),
    )
    return [f"{name} at {used:.0f} % of {limit} %" for name, used, limit in limits if used >= limit]


def advise(reading: Reading, thresholds: VpsSettings) -> list[Advice]:
    """Return advice for the operator; none while optimisation is disabled."""
    if not thresholds.optimization_enabled:
        return []
    return [*_memory(reading, thresholds), *_cpu(reading, thresholds), *_disk(reading, thresholds)]


def _memory(reading: Reading, thresholds: VpsSettings) -> Iterator[Advice]:
    yield from _past(
        "memory",
        thresholds.memory_threshold,
        reading.memory_percent,
        "of the memory is in use",
        "Lower algosat_api_workers, stop what else runs here, or take a larger machine",
    )
    if reading.swap_total == 0:
        yield Advice(
            "swap",
            Urgency.NOTICE,
            "There is no swap: a short peak ends with the kernel killing a process",
            "Add a swap file of half the memory through the inventory",
        )
    elif reading.swap_percent >= 50:
        yield Advice(
            "swap",
            Urgency.WARNING,
            f"{reading.swap_percent:.0f} % of the swap is in use: there is too little memory",
            "Lower algosat_api_workers, or take a machine with more memory",
        )


def _cpu(reading: Reading, thresholds: VpsSettings) -> Iterator[Advice]:
    yield from _past(
        "cpu",
        thresholds.cpu_threshold,
        reading.cpu_percent,
        "of the processors' time is used",
        "Find the busiest process with `top`; orders are delayed while this lasts",
    )
    if reading.load_average[2] > 2 * reading.cpu_count:
        yield Advice(
            "cpu",
            Urgency.WARNING,
            f"The load over 15 minutes is {reading.load_average[2]:.1f} on {reading.cpu_count} processors",
            "Take a machine with more processors, or move other services away",
        )


def _disk(reading: Reading, thresholds: VpsSettings) -> Iterator[Advice]:
    yield from _past(
        "disk",
        thresholds.disk_threshold,
        reading.disk_percent,
        "of the data's file system is in use",
        "Move old backups elsewhere or enlarge the disk: a full one refuses every order",
    )


def _past(subject: str, threshold: float, used: float, of_what: str, remedy: str) -> Iterator[Advice]:
    if used >= threshold:
        finding = f"{used:.0f} % {of_what}, the threshold is {threshold} %"
        yield Advice(subject, Urgency.WARNING, finding, remedy)
