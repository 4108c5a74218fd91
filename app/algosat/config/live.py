"""The live settings: the files with the overrides made since.

Values of keys marked LIVE are read here each time and never kept. The overrides are read from the store at
most once a second, so a change is in force within two seconds in every process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from algosat.config.overrides import Override, applied
from algosat.config.settings import Settings
from algosat.errors import AlgosatError

_log = structlog.get_logger(__name__)

_REFRESH_INTERVAL: Final = 1.0  # seconds

Fetch = Callable[[], Sequence[Override]]
Listener = Callable[[Settings], None]


class LiveSettings:
    """Start from the loaded `files`; `fetch` reads the overrides from the store."""

    def __init__(self, files: Settings, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self.files = files
        self._fetch = fetch
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

    def refresh_now(self) -> None:
        """Read the overrides now rather than in the next second, after a change made by this process."""
        self._due = 0.0

    def _refresh(self) -> None:
        self._due = self._clock() + _REFRESH_INTERVAL
        try:
            found = self._fetch()
        except (AlgosatError, SQLAlchemyError) as error:
            # The settings of a second ago are better than none.
            _log.warning("overrides_not_read", reason=str(error))
            return
        if found == self._overrides:
            return
        self._overrides = found
        self._current = applied(self.files, found)
        for listener in self._listeners:
            listener(self._current)
