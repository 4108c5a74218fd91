"""One set of metrics for all processes of a server, kept in files below one directory.

This module must not import the metrics: the client library reads the environment when it is imported, and
`share` must run before.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_FILE: Final = re.compile(r"[a-z_]+_(\d+)\.db")


def share(runtime_directory: Path) -> None:
    """Make this process and its children write to the server's directory of metrics.

    What processes of an earlier run left behind goes away, else every restart would make each
    scrape slower; Prometheus knows counters that start anew.
    """
    directory = runtime_directory / "metrics"
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.glob("*.db"):
        named = _FILE.fullmatch(path.name)
        if named and not _is_alive(int(named.group(1))):
            path.unlink(missing_ok=True)
    os.environ[VARIABLE] = str(directory)


def forget(pid: int) -> None:
    """Remove the live gauges of a worker that ended; its counters stay in the sums."""
    if VARIABLE in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
