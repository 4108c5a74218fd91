"""Readings of the machine and of Algosat's processes: psutil's figures as plain values."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_FILE_NR: Final = Path("/proc/sys/fs/file-nr")
_CONTAINER_MARKS: Final = (Path("/run/systemd/container"), Path("/run/.containerenv"), Path("/.dockerenv"))
_LOADAVG: Final = Path("/proc/loadavg")
# Long-running commands, and the names of their processes.
_NAMES: Final = {
    ("serve",): "api",
    ("engine", "run"): "engine",
    ("strategy", "supervise"): "strategies",
    ("strategy", "run"): "strategy",
}
_WORKER: Final = "api-worker"
_CONFIGURATION: Final = "--config-dir"


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """One reading of one process."""

    name: str  # api, api-worker, engine, strategies, or strategy-NAME
    pid: int
    started_at: float  # seconds since 1970
    resident_bytes: int
    open_fds: int
    threads: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading. Percentages are of the total; sizes are in bytes, and since boot where they are sums."""

    at: float  # seconds since 1970
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
    inodes_percent: float
    disk_read_bytes: int
    disk_written_bytes: int
    network_received_bytes: int
    network_sent_bytes: int
    descriptors: int  # open in all processes
    descriptors_percent: float  # of the kernel's limit
    threads: int  # of all processes
    boot_time: float  # seconds since 1970
    process_count: int  # that the reading process may see
    processes: tuple[ProcessReading, ...] = ()  # Algosat's


def in_container() -> bool:
    """Return whether this is a container, whose swap and kernel settings are its host's."""
    return any(path.exists() for path in _CONTAINER_MARKS)


class Probe:
    """Takes readings. The share of the processors' time counts from one reading to the next."""

    def __init__(self, data_directory: Path) -> None:
        self._data_directory = data_directory
        self._names: dict[psutil.Process, str | None] = {}

    def read(self) -> Reading:
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        disk = psutil.disk_usage(str(self._data_directory))
        disks, network = psutil.disk_io_counters(), psutil.net_io_counters()
        descriptors, most = _descriptors()
        return Reading(
            at=time.time(),
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
            inodes_percent=_inodes_percent(self._data_directory),
            disk_read_bytes=disks.read_bytes if disks else 0,
            disk_written_bytes=disks.write_bytes if disks else 0,
            network_received_bytes=network.bytes_recv if network else 0,
            network_sent_bytes=network.bytes_sent if network else 0,
            descriptors=descriptors,
            descriptors_percent=100 * descriptors / most,
            threads=int(_LOADAVG.read_text().split()[3].partition("/")[2]),
            boot_time=psutil.boot_time(),
            process_count=len(psutil.pids()),
            processes=tuple(self.processes()),
        )

    def processes(self) -> Iterator[ProcessReading]:
        """Yield Algosat's processes. One that ends meanwhile, or may not be looked at, is left out.

        The sandbox of a service hides the processes of all others.
        """
        found = {process: self._names.get(process, "") for process in psutil.process_iter()}
        self._names = {}
        for process, known in found.items():
            try:
                name = self._names[process] = _name(process) if known == "" else known
                if name is not None:
                    yield _read(process, name)
            except psutil.Error:
                continue


def _read(process: psutil.Process, name: str) -> ProcessReading:
    with process.oneshot():
        times = process.cpu_times()
        return ProcessReading(
            name=name,
            pid=process.pid,
            started_at=process.create_time(),
            resident_bytes=process.memory_info().rss,
            open_fds=process.num_fds(),
            threads=process.num_threads(),
            cpu_seconds=times.user + times.system,
        )


def _name(process: psutil.Process) -> str | None:
    """Return the name of one of this server's long-running processes; None for any other process."""
    name = name_of(process.cmdline())
    if name is None or _configuration(process) != _configuration(psutil.Process()):
        return None
    if name != "api":
        return name
    parent = process.parent()
    return _WORKER if parent is not None and name_of(parent.cmdline()) == "api" else name


def _configuration(process: psutil.Process) -> str:
    """Return the configuration directory of a process: a machine may have several servers, and trial ones."""
    command = process.cmdline()
    if _CONFIGURATION in command[:-1]:
        return command[command.index(_CONFIGURATION) + 1]
    return process.environ().get("ALGOSAT_CONFIG_DIR", "/etc/algosat")


def name_of(command: Sequence[str]) -> str | None:
    """Return the name that a command line gives a process; None if it is not one of Algosat's services."""
    words = _words(command)
    for expected, name in _NAMES.items():
        if tuple(words[: len(expected)]) == expected:
            return f"{name}-{words[2]}" if name == "strategy" and len(words) > 2 else name
    return None


def _words(command: Sequence[str]) -> list[str]:
    """Return the words of an Algosat command without its options: `serve`, or `strategy run NAME`."""
    at = next((at for at, part in enumerate(command[:4]) if _is_algosat(part)), None)
    if at is None:
        return []
    words, skipped = [], False
    for part in command[at + 1 :]:
        if skipped:
            skipped = False
        elif part == _CONFIGURATION:
            skipped = True
        elif not part.startswith("-"):
            words.append(part)
    return words


def _is_algosat(part: str) -> bool:
    return part in ("algosat", "algosat.cli") or part.endswith("/algosat")


def _descriptors() -> tuple[int, int]:
    """Return how many file descriptors are open, and the kernel's limit."""
    used, _, most = (int(figure) for figure in _FILE_NR.read_text().split())
    return used, max(most, 1)


def _inodes_percent(directory: Path) -> float:
    """Return the share of the inodes in use; 0 on a file system that has no limit."""
    found = os.statvfs(directory)
    if not found.f_files:
        return 0.0
    return 100 * (found.f_files - found.f_favail) / found.f_files
