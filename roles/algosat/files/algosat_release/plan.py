"""What is between the server as it is and the server as it is to be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from algosat_release.layout import CONFIGURATION, Layout, Release
from algosat_release.machine import unit_states

STARTED_AT_BOOT = {"enabled", "static"}


def changes(layout: Layout, release: Release) -> list[str]:
    """What makes a restart necessary, in words: another release, configuration or unit."""
    found = []
    running = layout.running()
    if running is None or running.name != release.name:
        found.append(f"release {running.name if running else 'none'} -> {release.name}")
    elif state(layout).get("release", release.name) != release.name:
        found.append(f"release {release.name}, whose switch was cut off: another one may still run")
    found += [
        f"configuration {layout.configuration / name}"
        for name in CONFIGURATION
        if _content(release.configuration / name) != _content(layout.configuration / name)
    ]
    return found + [f"unit {unit}" for unit in stale(layout, layout.units)]


def stale(layout: Layout, units: Sequence[str]) -> list[str]:
    """Units whose file is not the one they were last started with."""
    started_with, seals = state(layout).get("units", {}), unit_seals(layout)
    return [unit for unit in units if started_with.get(unit) != seals.get(unit)]


def sleepers(layout: Layout) -> list[str]:
    """Units that do not run now, or would not after a reboot."""
    return [
        f"unit {unit} is {it['ActiveState']}, {it['UnitFileState'] or 'unknown'}"
        for unit, it in unit_states(layout.units).items()
        if it["ActiveState"] != "active" or it["UnitFileState"] not in STARTED_AT_BOOT
    ]


def unit_seals(layout: Layout) -> dict[str, str]:
    """A digest of each unit file, to see later whether the unit runs as its file says."""
    files = {unit: _content(layout.unit_directory / unit) for unit in layout.units}
    return {unit: hashlib.sha256(content).hexdigest() for unit, content in files.items() if content}


def state(layout: Layout) -> dict[str, Any]:
    """What the last switch that went well wrote down; empty before the first, and if that cannot be read."""
    try:
        written: dict[str, Any] = json.loads(layout.state.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return written


def write_state(layout: Layout, release: Release, previous: Release | None) -> None:
    """Remember what runs now, and what ran before."""
    last = state(layout)
    # A switch that was cut off wrote nothing down: the last that did is the one before.
    before = last.get("previous" if last.get("release") == release.name else "release")
    if previous and previous.name != release.name:
        before = previous.name
    told = {"release": release.name, "previous": before, "units": unit_seals(layout)}
    beside = layout.state.with_suffix(".new")
    beside.write_text(json.dumps(told, indent=2) + "\n")
    beside.rename(layout.state)


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
