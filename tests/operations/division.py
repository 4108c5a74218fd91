"""Which server runs which file of these tests, and at which tasks runs are killed.

`make test` runs each file on the server of one distribution, so that the two servers share the work, and
kills runs at every third task. `make prove` runs every file on both servers and kills at every task
(OPERATIONS=all).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

# By the end of the server's name. The longest files are divided, so that both servers take about as long.
FILES = {
    "debian-12": (
        "test_cut_runs.py",
        "test_releases.py",
        "test_restoration.py",
        "test_secrets.py",
        "test_teardown.py",
    ),
    "debian-13": ("test_certificates.py", "test_drift.py", "test_failures.py", "test_features.py"),
}

_EVERY: Final = 3


def is_left_out(file: str, servers: Sequence[str]) -> bool:
    """Return whether another server runs the file. A server of another name runs all of them."""
    if _is_complete():
        return False
    own = [files for distribution, files in FILES.items() if any(it.endswith(distribution) for it in servers)]
    return bool(own) and all(file not in files for files in own)


def kills(commit: str, roles: Sequence[str], role: str) -> Iterator[int]:
    """Yield the numbers of the tasks at which runs of the role are killed, counted from 1, without end.

    A commit has every third number, beginning with one that its id determines: the same in every repetition.
    Each role begins with another, so that each commit has all of them.
    """
    if _is_complete():
        return count(1)
    return count(1 + (int(commit, 16) + roles.index(role)) % _EVERY, _EVERY)


def _is_complete() -> bool:
    return os.environ.get("OPERATIONS") == "all"
