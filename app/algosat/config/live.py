"""The live settings: the files with the overrides made since.

Values of keys marked LIVE are read here each time and never kept. The overrides are read from the store at
most once a second, so a change is in force within two seconds in every process. After `reload` the files are
read again too; an override has precedence over them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from algosat.config.overrides import Override, applied
from algosat.config.reload import SettingsDifference, difference, taken_over
from algosat.config.settings import Settings
from algosat.errors import AlgosatError, ConfigurationError

_log = structlog.get_logger(__name__)

_REFRESH_INTERVAL: Final = 1.0  # seconds

Fetch = Callable[[], Sequence[Override]]
Read = Callable[[], Settings]
Listener = Callable[[Settings], None]
ReloadListener = Callable[[SettingsDifference], None]


class LiveSettings:
    """Start from the loaded `files`; `fetch` reads the overrides from the store, `read` the files again."""

    def __init__(
        self,
        files: Settings,
        fetch: Fetch,
        clock: Callable[[], float] = time.monotonic,
        read: Read | None = None,
    ) -> None:
        self.files = files  # as this process started with them, but for live values taken over since
        self._fetch, self._read = fetch, read
        self._reload_asked = False
        self._reload_listeners: list[ReloadListener] = []
        self._clock = clock
        self._refreshing = threading.Lock()
        self._overrides: Sequence[Override] = ()
        self._current = files
        self._due = 0.0
        self._listeners: list[Listener] = []

    @property
    def current(self) -> Settings:
        if self._clock() >= self._due and self._refreshing.acquire(blocking=False):
            try:
                self._refresh()
            finally:
                self._refreshing.release()
        return self._current

    @property
    def overrides(self) -> Sequence[Override]:
        return self._overrides

    def on_change(self, listener: Listener) -> None:
        """Call `listener` with the settings after every change."""
        self._listeners.append(listener)

    def on_reload(self, listener: ReloadListener) -> None:
        """Call `listener` after every reload with what was taken over, and what needs a restart."""
        self._reload_listeners.append(listener)

    def reload(self) -> None:
        """Have the files read again when the settings are read next. A signal handler may call this."""
        self._reload_asked = self._read is not None
        self._due = 0.0

    def refresh_now(self) -> None:
        """Read the overrides now rather than in the next second, after a change made by this process."""
        self._due = 0.0

    def _refresh(self) -> None:
        self._due = self._clock() + _REFRESH_INTERVAL
        files = self._files_now()
        overrides = self._overrides_now()
        if files is self.files and overrides == self._overrides:
            return
        self.files, self._overrides = files, overrides
        self._current = applied(files, overrides)
        for listener in self._listeners:
            listener(self._current)

    def _overrides_now(self) -> Sequence[Override]:
        try:
            return self._fetch()
        except (AlgosatError, SQLAlchemyError) as error:
            # The settings of a second ago are better than none.
            _log.warning("overrides_not_read", reason=str(error))
            return self._overrides

    def _files_now(self) -> Settings:
        if not self._reload_asked or self._read is None:
            return self.files
        self._reload_asked = False
        try:
            on_disk = self._read()
        except ConfigurationError as error:
            _log.error("settings_not_reloaded", reason=error.detail)
            return self.files
        found = difference(self.files, on_disk)
        _log.info("settings_reloaded", taken_over=found.live, needs_restart=found.needs_restart)
        for listener in self._reload_listeners:
            listener(found)
        return taken_over(self.files, on_disk) if found.live else self.files
