"""Which server runs which file of these tests.

`make test` runs each file on the server of one distribution, so that the two servers share the work.
`make prove` runs every file on both (OPERATIONS=all).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

# By the end of the server's name. The longest files are divided, so that both servers take about as long.
FILES = {
    "debian-12": ("test_cut_runs.py", "test_releases.py", "test_restoration.py", "test_teardown.py"),
    "debian-13": (
        "test_certificates.py",
        "test_drift.py",
        "test_failures.py",
        "test_features.py",
        "test_secrets.py",
    ),
}


def is_left_out(file: str, servers: Sequence[str]) -> bool:
    """Return whether another server runs the file. A server of another name runs all of them."""
    if os.environ.get("OPERATIONS") == "all":
        return False
    own = [files for distribution, files in FILES.items() if any(it.endswith(distribution) for it in servers)]
    return bool(own) and all(file not in files for files in own)
