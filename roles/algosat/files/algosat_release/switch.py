"""The switch from the current release to another one, and the rollback if that one is unhealthy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from algosat_release import guard, health, history, plan, store
from algosat_release.install import prune
from algosat_release.layout import CONFIGURATION, Layout, Release
from algosat_release.machine import Failed, Refused, install_file, journal_tails, replace_link, systemctl


@dataclass
class Previous:
    """The state that a failed switch restores."""

    release: Release | None
    configuration: dict[str, bytes]
    archive: Path | None = None  # of the store, once a migration has begun
    is_migrated: bool = False  # the migration has ended

    @classmethod
    def of(cls, layout: Layout) -> Previous:
        files = {name: layout.configuration / name for name in CONFIGURATION}
        contents = {name: file.read_bytes() for name, file in files.items() if file.exists()}
        return cls(layout.current_release(), contents)


def differences(layout: Layout, release: Release) -> list[str]:
    """Describe everything that a switch to the release would change."""
    return plan.changes(layout, release) + plan.inactive_units(layout)


def switch(layout: Layout, release: Release, *, force: bool = False) -> list[str]:
    """Make the release and its configuration current. Returns a description of each change.

    Raises:
        Refused: The release is incomplete, refuses its configuration, or the restart would interrupt trading
            and `force` is not set. Nothing was changed.
        Failed: The release did not become healthy. The previous one runs again.
    """
    if not release.is_complete:
        raise Refused(f"{release.name} is not installed; see `release list`")
    changed = plan.changes(layout, release)
    inactive = plan.inactive_units(layout)
    if changed or inactive:
        store.require_store(layout)
    if changed:
        check_configuration(layout, release)
        if plan.needs_reload_only(layout, release, changed + inactive):
            _reload(layout, release)
            return changed
        if not force:
            guard.require_idle(layout)
        _change_over(layout, release)
    elif inactive:
        systemctl("enable", "--now", *layout.units)
        health.wait(layout)
    return changed + inactive


def check_configuration(layout: Layout, release: Release, *options: str) -> None:
    """Raise Refused if the release does not accept the configuration for it."""
    try:
        store.algosat(layout, release, "config", "check", *options)
    except Failed as failure:
        raise Refused(f"{release.name} does not accept its configuration\n{failure}") from failure


def _reload(layout: Layout, release: Release) -> None:
    """Make the services take over the configuration without a restart, also while a market is open.

    Raises Failed, with the previous configuration in use, if the services refuse it or become unhealthy.
    """
    previous = Previous.of(layout)
    try:
        _use_configuration(layout, release)
        health.wait(layout)
    except (Failed, OSError, KeyboardInterrupt) as failure:
        history.record(layout.history, release.name, release.name, f"reload failed: {failure}")
        for name, content in previous.configuration.items():
            (release.configuration / name).write_bytes(content)
        _use_configuration(layout, release)
        raise Failed(f"{failure}\n\nThe previous configuration is in use again.") from failure
    history.record(layout.history, release.name, release.name, "reloaded")


def _use_configuration(layout: Layout, release: Release) -> None:
    _make_current(layout, release)
    systemctl("reload", *layout.services)


def _change_over(layout: Layout, release: Release) -> None:
    previous = Previous.of(layout)
    if store.must_migrate(layout, release):
        with store.trading_halted(layout, previous.release, release.name):
            _attempt(layout, release, previous, migrating=True)
    else:
        _attempt(layout, release, previous, migrating=False)
        store.resume_after_interruption(layout, release)
    plan.write_state(layout, release, previous.release)
    prune(layout, keep={release.name, plan.state(layout)["previous"]})


def _attempt(layout: Layout, release: Release, previous: Previous, *, migrating: bool) -> None:
    """Make the release current. Rolls back and raises Failed if any step fails."""
    name = previous.release.name if previous.release else None
    began = time.strftime("%Y-%m-%d %H:%M:%S")
    try:
        if migrating:
            _migrate(layout, release, previous)
        _make_current(layout, release)
        _restart(layout)
        health.wait(layout)
    except (Failed, OSError, KeyboardInterrupt) as failure:
        reason = f"{failure}\n{journal_tails((layout.standby, *layout.services), began)}".strip()
        history.record(layout.history, release.name, name, f"failed: {reason}")
        raise Failed(f"{release.name} failed: {reason}\n\n{_roll_back(layout, previous)}") from failure
    history.record(layout.history, release.name, name, "in force")


def _migrate(layout: Layout, release: Release, previous: Previous) -> None:
    with store.services_stopped(layout):
        if previous.release:
            previous.archive = store.back_up(layout, "before-migration")
        store.migrate(layout, release)
        previous.is_migrated = True
        _make_current(layout, release)  # before a waiting client starts the service


def _make_current(layout: Layout, release: Release) -> None:
    for name in CONFIGURATION:
        install_file(release.configuration / name, layout.configuration / name, layout.group)
    replace_link(layout.current, release.directory)


def _restart(layout: Layout) -> None:
    systemctl("daemon-reload")
    systemctl("enable", *layout.units)
    systemctl("reset-failed", *layout.units)
    sockets = [unit for unit in layout.units if unit not in layout.services]
    if plan.outdated_units(layout, sockets):  # systemd cannot replace a socket while its service runs
        systemctl("stop", *layout.services, *sockets)
    systemctl("start", *sockets)
    engine, *others = layout.services
    with _standby_engine(layout):
        systemctl("restart", engine)
    systemctl("restart", *others)


@contextmanager
def _standby_engine(layout: Layout) -> Iterator[None]:
    """Run a standby engine of the new release, which leads while the first engine restarts.

    Orders wait only for moments, however long a start takes. If the new engine does not start, the old one is
    not stopped.
    """
    systemctl("stop", layout.standby)  # left by an interrupted switch
    try:
        systemctl("start", layout.standby)
        yield
    finally:
        systemctl("stop", layout.standby)


def _roll_back(layout: Layout, previous: Previous) -> str:
    """Restore the previous state. Returns a sentence about the outcome.

    A migrated store on which the previous release can run is kept: the archive lacks what was traded since.
    One whose migration failed is restored: nothing was traded.
    """
    try:
        if previous.release is None:
            _undo_first_release(layout)
            return "There was no previous release: the services are stopped."
        for name, content in previous.configuration.items():
            (previous.release.configuration / name).write_bytes(content)
        if previous.archive and not (previous.is_migrated and store.fits(layout, previous.release)):
            with store.services_stopped(layout):
                store.restore(layout, previous.release, previous.archive)
                _make_current(layout, previous.release)
        else:
            _make_current(layout, previous.release)
        _restart(layout)
        health.wait(layout)
    except (Failed, OSError) as failure:
        name = previous.release.name if previous.release else "nothing"
        return f"The rollback to {name} failed too: {failure}"
    return f"{previous.release.name} is current again, and healthy."


def _undo_first_release(layout: Layout) -> None:
    systemctl("disable", "--now", *reversed(layout.units))
    layout.current.unlink(missing_ok=True)
    for name in CONFIGURATION:
        (layout.configuration / name).unlink(missing_ok=True)
