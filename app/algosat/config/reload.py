"""Reloading: which settings of changed files a running process takes over, and which need a restart."""

from __future__ import annotations

from dataclasses import dataclass

from algosat.config.overrides import KEYS, Key, with_value
from algosat.config.settings import Settings


@dataclass(frozen=True, slots=True)
class SettingsDifference:
    """The settings that differ between a running process and the files, as `section.key`."""

    live: tuple[str, ...]  # a reload takes them over
    needs_restart: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.live or self.needs_restart)

    def __str__(self) -> str:
        """Say what a reload did, for `systemctl status`."""
        restart = f"; restart to use {', '.join(self.needs_restart)}" if self.needs_restart else ""
        return f"reloaded: {', '.join(self.live) or 'nothing to take over'}{restart}"


def difference(running: Settings, on_disk: Settings) -> SettingsDifference:
    """Return the settings with other values in the files than in the process."""
    changed = [key for key in KEYS.values() if key.value_in(running) != key.value_in(on_disk)]
    return SettingsDifference(
        live=tuple(_name(key) for key in changed if key.is_live),
        needs_restart=tuple(_name(key) for key in changed if not key.is_live),
    )


def taken_over(running: Settings, on_disk: Settings) -> Settings:
    """Return the settings of the process with the live values of the files."""
    for key in KEYS.values():
        if key.is_live:
            running = with_value(running, key.path, key.value_in(on_disk))
    return running


def _name(key: Key) -> str:
    return f"{key.section}.{key.name}" if key.section else key.name
