"""Readings of a machine with nothing to complain of; a test names only the values that matter to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from algosat.host.history import History
from algosat.host.probe import ProcessReading, Reading

GIB: Final = 2**30
CALM: Final = Reading(
    at=0.0,
    cpu_count=2,
    cpu_percent=5.0,
    load_average=(0.1, 0.1, 0.1),
    memory_total=4 * GIB,
    memory_available=3 * GIB,
    memory_percent=25.0,
    swap_total=GIB,
    swap_percent=0.0,
    disk_total=40 * GIB,
    disk_free=30 * GIB,
    disk_percent=25.0,
    inodes_percent=3.0,
    disk_read_bytes=0,
    disk_written_bytes=0,
    network_received_bytes=0,
    network_sent_bytes=0,
    descriptors=2000,
    descriptors_percent=1.0,
    threads=300,
    boot_time=0.0,
    process_count=100,
)


def reading(**differences: Any) -> Reading:
    return replace(CALM, **differences)


def process(name: str, **differences: Any) -> ProcessReading:
    calm = ProcessReading(
        name, pid=1, started_at=0.0, resident_bytes=60 << 20, open_fds=20, threads=9, cpu_seconds=1.0
    )
    return replace(calm, **differences)


def minutes(number: int, **differences: Any) -> History:
    """Return the history of a machine that has been like this for so many minutes."""
    readings = tuple(reading(at=60.0 * minute, **differences) for minute in range(number))
    return History(readings, readings[-1:])
