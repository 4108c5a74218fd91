"""The release log: one line for every switch, tried or done."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path


def record(log: Path, release: str, before: str | None, outcome: str) -> None:
    """Add a line: when, which release, which one before it, and how it ended."""
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    first_line = (outcome.splitlines() or [""])[0]
    with log.open("a") as file:
        file.write(f"{moment}\t{release}\tfrom {before or 'nothing'}\t{first_line}\n")
