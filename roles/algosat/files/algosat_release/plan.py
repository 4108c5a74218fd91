"""Differences between the server and a release with its configuration, and the record of the last switch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from algosat_release.layout import CONFIGURATION, Layout, Release
from algosat_release.machine import unit_states
from algosat_release.store import ask

STARTED_AT_BOOT = {"enabled", "static"}
CONFIGURATION_CHANGE = "configuration "


def changes(layout: Layout, release: Release) -> list[str]:
    """Describe each difference that requires a restart: another release, configuration or unit file."""
    found = []
    current = layout.current_release()
    if current is None or current.name != release.name:
        found.append(f"release {current.name if current else 'none'} -> {release.name}")
    elif state(layout).get("release", release.name) != release.name:
        found.append(f"release {release.name}, whose switch was interrupted: another one may still run")
    found += [
        f"{CONFIGURATION_CHANGE}{layout.configuration / name}"
        for name in CONFIGURATION
        if _content(release.configuration / name) != _content(layout.configuration / name)
    ]
    return found + [f"unit {unit}" for unit in outdated_units(layout, layout.units)]


def needs_reload_only(layout: Layout, release: Release, changed: Sequence[str]) -> bool:
    """Return True if only settings that can change at run time differ, so that no restart is needed.

    The release decides. If it cannot answer, because it is older or cannot read the files in use, the
    services restart.
    """
    if not all(change.startswith(CONFIGURATION_CHANGE) for change in changed):
        return False
    answer = ask(layout, release, "config", "changes", "--in-force", str(layout.configuration))
    return answer.returncode == 0 and not any(
        line.startswith("restart\t") for line in answer.stdout.splitlines()
    )


def outdated_units(layout: Layout, units: Sequence[str]) -> list[str]:
    """Return the units whose file has changed since they were started."""
    started_with, digests = state(layout).get("units", {}), unit_digests(layout)
    return [unit for unit in units if started_with.get(unit) != digests.get(unit)]


def inactive_units(layout: Layout) -> list[str]:
    """Describe each unit that is not running, or would not start at boot."""
    return [
        f"unit {unit} is {it['ActiveState']}, {it['UnitFileState'] or 'unknown'}"
        for unit, it in unit_states(layout.units).items()
        if it["ActiveState"] != "active" or it["UnitFileState"] not in STARTED_AT_BOOT
    ]


def unit_digests(layout: Layout) -> dict[str, str]:
    """Return the SHA-256 digest of each unit file."""
    files = {unit: _content(layout.unit_directory / unit) for unit in layout.units}
    return {unit: hashlib.sha256(content).hexdigest() for unit, content in files.items() if content}


def state(layout: Layout) -> dict[str, Any]:
    """Return the record of the last successful switch; empty if there is none or it is unreadable."""
    try:
        record: dict[str, Any] = json.loads(layout.state.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return record


def write_state(layout: Layout, release: Release, previous: Release | None) -> None:
    """Record the current and the previous release, and the unit files they were started with."""
    last = state(layout)
    # An interrupted switch records nothing, so the last record names the release that ran before.
    before = last.get("previous" if last.get("release") == release.name else "release")
    if previous and previous.name != release.name:
        before = previous.name
    record = {"release": release.name, "previous": before, "units": unit_digests(layout)}
    temporary = layout.state.with_suffix(".new")
    temporary.write_text(json.dumps(record, indent=2) + "\n")
    temporary.rename(layout.state)


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
