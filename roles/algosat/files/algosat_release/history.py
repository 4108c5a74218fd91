"""The release log: one line for each switch, successful or not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path


def record(log: Path, release: str, previous: str | None, outcome: str) -> None:
    """Append a line with the time, the release, the previous release and the outcome."""
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    first_line = (outcome.splitlines() or [""])[0]
    with log.open("a") as file:
        file.write(f"{moment}\t{release}\tfrom {previous or 'nothing'}\t{first_line}\n")
