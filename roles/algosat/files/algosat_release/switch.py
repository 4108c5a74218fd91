"""From the running release to another one, and back again if it is not healthy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from algosat_release import guard, health, history, plan, store
from algosat_release.install import prune
from algosat_release.layout import CONFIGURATION, Layout, Release
from algosat_release.machine import Failed, Refused, install_file, last_words, point, systemctl


@dataclass
class Before:
    """What a failed switch goes back to."""

    release: Release | None
    configuration: dict[str, bytes]
    archive: Path | None = None  # of the store, once a migration has begun

    @classmethod
    def of(cls, layout: Layout) -> Before:
        files = {name: layout.configuration / name for name in CONFIGURATION}
        kept = {name: file.read_bytes() for name, file in files.items() if file.exists()}
        return cls(layout.running(), kept)


def differences(layout: Layout, release: Release) -> list[str]:
    """Everything a switch to the release would change; empty when it is in force."""
    return plan.changes(layout, release) + plan.sleepers(layout)


def switch(layout: Layout, release: Release, *, force: bool = False) -> list[str]:
    """Put the release and its configuration in force; what that changed, in words.

    Raises Refused when the release is not complete or does not accept its configuration, or when the restart
    would cut into trading and nobody said `force`: nothing was changed. Raises Failed when it did not come up
    healthy: what ran before runs again.
    """
    if not release.is_complete:
        raise Refused(f"{release.name} is not installed; see `release list`")
    changed = plan.changes(layout, release)
    asleep = plan.sleepers(layout)
    if changed or asleep:
        store.require_there(layout)
    if changed:
        accept(layout, release)
        if not force:
            guard.require_idle(layout)
        _change_over(layout, release)
    elif asleep:
        systemctl("enable", "--now", *layout.units)
        health.wait(layout)
    return changed + asleep


def accept(layout: Layout, release: Release, *options: str) -> None:
    """Let the release judge the configuration it is to run with, before anything counts on it."""
    try:
        store.algosat(layout, release, "config", "check", *options)
    except Failed as failure:
        raise Refused(f"{release.name} does not accept its configuration\n{failure}") from failure


def _change_over(layout: Layout, release: Release) -> None:
    before = Before.of(layout)
    if store.must_migrate(layout, release):
        with store.trading_halted(layout, before.release, release.name):
            _try(layout, release, before, migrating=True)
    else:
        _try(layout, release, before, migrating=False)
        store.resume_what_was_cut_off(layout, release)
    plan.write_state(layout, release, before.release)
    prune(layout, keep={release.name, plan.state(layout)["previous"]})


def _try(layout: Layout, release: Release, before: Before, *, migrating: bool) -> None:
    """Put the release in force; on any trouble go back to what was before, and raise Failed."""
    previous = before.release.name if before.release else None
    began = time.strftime("%Y-%m-%d %H:%M:%S")
    try:
        if migrating:
            _migrate(layout, release, before)
        _point(layout, release)
        _restart(layout)
        health.wait(layout)
    except (Failed, OSError, KeyboardInterrupt) as failure:
        reason = f"{failure}\n{last_words((layout.standby, *layout.services), began)}".strip()
        history.record(layout.history, release.name, previous, f"failed: {reason}")
        raise Failed(f"{release.name} failed: {reason}\n\n{_go_back(layout, before)}") from failure
    history.record(layout.history, release.name, previous, "in force")


def _migrate(layout: Layout, release: Release, before: Before) -> None:
    with store.services_held(layout):
        if before.release:
            before.archive = store.back_up(layout, "before-migration")
        store.migrate(layout, release)
        _point(layout, release)  # before a waiting client starts the service


def _point(layout: Layout, release: Release) -> None:
    for name in CONFIGURATION:
        install_file(release.configuration / name, layout.configuration / name, layout.group)
    point(layout.current, release.directory)


def _restart(layout: Layout) -> None:
    systemctl("daemon-reload")
    systemctl("enable", *layout.units)
    systemctl("reset-failed", *layout.units)
    sockets = [unit for unit in layout.units if unit not in layout.services]
    if plan.stale(layout, sockets):  # a socket cannot be replaced under the service that holds it
        systemctl("stop", *layout.services, *sockets)
    systemctl("start", *sockets)
    engine, *others = layout.services
    with _stand_in(layout):
        systemctl("restart", engine)
    systemctl("restart", *others)


@contextmanager
def _stand_in(layout: Layout) -> Iterator[None]:
    """A second engine of the new release stands by, and leads while the first one restarts.

    So orders wait for moments, however long a start takes; and a release whose engine does not start
    never takes the old one away.
    """
    systemctl("stop", layout.standby)  # of a switch that was cut off
    try:
        systemctl("start", layout.standby)
        yield
    finally:
        systemctl("stop", layout.standby)


def _go_back(layout: Layout, before: Before) -> str:
    """Undo a switch; how that went, in words."""
    try:
        if before.release is None:
            _undo_first(layout)
            return "There was no release before it: the services are stopped."
        for name, content in before.configuration.items():
            (before.release.configuration / name).write_bytes(content)
        if before.archive:
            with store.services_held(layout):
                store.put_back(layout, before.release, before.archive)
                _point(layout, before.release)
        else:
            _point(layout, before.release)
        _restart(layout)
        health.wait(layout)
    except (Failed, OSError) as failure:
        return f"And the way back to {before.release.name if before.release else 'nothing'} failed: {failure}"
    return f"{before.release.name} is in force again, and healthy."


def _undo_first(layout: Layout) -> None:
    systemctl("disable", "--now", *reversed(layout.units))
    layout.current.unlink(missing_ok=True)
    for name in CONFIGURATION:
        (layout.configuration / name).unlink(missing_ok=True)
