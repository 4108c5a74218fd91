"""Idle memory of the processes, and the time until they answer."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path
from typing import Final

import psutil

from tools.bench.report import Figure
from tools.bench.rig import Process, Rig

_STARTS: Final = 3
_SETTLE_SECONDS: Final = 5.0
_MEGABYTE: Final = 1024  # of the kernel's kB
_PSS: Final = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


def figures(rig: Rig) -> list[Figure]:
    ours = [_first_answer(rig, "api", rig.port) for _ in range(_STARTS)]
    bare = [_first_answer(rig, "bare", rig.bare_port) for _ in range(_STARTS)]
    return [_idle_memory(rig), _start(statistics.median(ours), statistics.median(bare))]


def _first_answer(rig: Rig, name: str, port: int) -> float:
    began = time.perf_counter()
    with rig.running(name) as processes:
        rig.await_answer(port, "/", processes[name])
        return time.perf_counter() - began


def _start(ours: float, bare: float) -> Figure:
    return Figure(
        f"from starting the API to its first 200, median of {_STARTS}",
        f"{ours:.2f} s; bare Flask {bare:.2f} s",
        "≤ 2 s",
        ours <= 2,
    )


def _idle_memory(rig: Rig) -> Figure:
    with rig.running("engine", "api", "bare") as processes:
        rig.await_answer(rig.port, "/health/ready", processes["api"])
        rig.await_answer(rig.bare_port, "/", processes["bare"])
        time.sleep(_SETTLE_SECONDS)
        megabytes = {name: _pss(process) for name, process in processes.items()}
    both = megabytes["api"] + megabytes["engine"]
    return Figure(
        "idle memory (PSS) of the API with one worker and of the engine",
        f"{megabytes['api']:.0f} + {megabytes['engine']:.0f} = {both:.0f} MB; "
        f"bare Flask {megabytes['bare']:.0f} MB",
        "≤ 130 MB",
        both <= 130,
    )


def _pss(process: Process) -> float:
    """Return the proportional set size of a process and its children, in MB."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return sum(_pss_of(each.pid) for each in family) / _MEGABYTE


def _pss_of(pid: int) -> int:
    found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    return int(found[1]) if found else 0
