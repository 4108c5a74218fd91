"""A reading of the machine: psutil's figures as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading. Percentages are of the total; sizes are in bytes."""

    cpu_count: int
    cpu_percent: float  # since the previous reading
    load_average: tuple[float, float, float]  # over 1, 5 and 15 minutes
    memory_total: int
    memory_available: int
    memory_percent: float
    swap_total: int
    swap_percent: float
    disk_total: int  # of the file system that holds the data
    disk_free: int
    disk_percent: float
    boot_time: float  # seconds since 1970
    process_count: int


def read(data_directory: Path) -> Reading:
    memory = psutil.virtual_memory()
    swap = psutil.swap_memory()
    disk = psutil.disk_usage(str(data_directory))
    return Reading(
        cpu_count=psutil.cpu_count() or 1,
        cpu_percent=psutil.cpu_percent(interval=None),
        load_average=psutil.getloadavg(),
        memory_total=memory.total,
        memory_available=memory.available,
        memory_percent=memory.percent,
        swap_total=swap.total,
        swap_percent=swap.percent,
        disk_total=disk.total,
        disk_free=disk.free,
        disk_percent=disk.percent,
        boot_time=psutil.boot_time(),
        process_count=len(psutil.pids()),
    )
