"""The rate limit of clients. flask-limiter holds the policy and its storage.

Each request asks the storage itself: the hooks of the extension cost more than the rest of a request. When
the shared storage fails, each worker counts for itself for a while, so that trading continues.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from flask import Flask
from flask_limiter import Limiter
from limits.errors import StorageError
from limits.storage import Storage

from algosat.config.settings import TokenSettings
from algosat.errors import TooManyRequests

_log = structlog.get_logger(__name__)

_PATIENCE: Final = 0.1  # seconds the storage has to answer
_PAUSE: Final = 5.0  # seconds until a failed storage is asked again
_MANY: Final = 10_000  # windows in memory before expired ones are removed


class ClientLimiter:
    def __init__(
        self, app: Flask, settings: TokenSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shared = _storage(app, settings.rate_limit_storage)
        self._in_memory: Storage = WindowCounters()
        self._clock = clock
        self._paused_until = 0.0

    @property
    def is_shared(self) -> bool:
        """Whether the configured storage is in use rather than this worker's memory."""
        return self._clock() >= self._paused_until

    def ping(self) -> bool:
        """Ask the configured storage, and use it from now on if it answers. Returns whether it did."""
        # The first attempt may meet a connection that a restart of the storage has closed.
        answers = self._shared.check() or self._shared.check()
        self._paused_until = 0.0 if answers else self._clock() + _PAUSE
        return answers

    def hit(self, client: str, requests: int, window: int) -> None:
        """Count a request of the client. Raises TooManyRequests beyond `requests` within `window` seconds."""
        key = f"algosat/{client}/{requests}/{window}"
        if self._ask(lambda storage: storage.incr(key, window)) > requests:
            ends = self._ask(lambda storage: storage.get_expiry(key))
            wait = max(1, int(ends - time.time()) + 1)
            raise TooManyRequests(
                f"more than {requests} requests in {window} s; try again in {wait} s",
                headers={"Retry-After": str(wait)},
            )

    def _ask(self, question: Callable[[Storage], float]) -> float:
        if self.is_shared:
            try:
                return question(self._shared)
            except StorageError as error:
                self._paused_until = self._clock() + _PAUSE
                _log.warning("rate_limit_storage_failed", reason=str(error), counting="per worker")
        return question(self._in_memory)


def _storage(app: Flask, uri: str) -> Storage:
    in_memory = uri.startswith("memory:")
    extension = Limiter(
        lambda: "",  # the route policy identifies clients
        storage_uri="algosat-memory://" if in_memory else uri,
        storage_options={} if in_memory else _redis_options(),
    )
    _init_without_hooks(app, extension)
    return extension.storage


def _redis_options() -> dict[str, Any]:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_timeout": _PATIENCE,
        "socket_connect_timeout": _PATIENCE,
        "retry": Retry(NoBackoff(), 0),  # redis's own three attempts would delay a request for seconds
        "wrap_exceptions": True,
    }


def _init_without_hooks(app: Flask, extension: Limiter) -> None:
    hooks: tuple[dict[Any, list[Any]], ...] = (
        app.before_request_funcs,
        app.after_request_funcs,
        app.teardown_request_funcs,
    )
    before = [{scope: list(functions) for scope, functions in kind.items()} for kind in hooks]
    extension.init_app(app)
    for kind, kept in zip(hooks, before, strict=True):
        kind.clear()
        kind.update(kept)


class WindowCounters(Storage):
    """Counts in this process's memory, as a storage of the `limits` library.

    The memory storage of that library starts a thread every hundredth of a second to remove expired counts;
    this one removes them while it counts.
    """

    STORAGE_SCHEME: list[str] | None = ["algosat-memory"]  # noqa: RUF012 - the base class reads it so

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,
        *,
        clock: Callable[[], float] = time.time,
        **_options: float | str | bool,
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[int, float]] = {}  # count, and end of the window

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = self._clock()
        with self._lock:
            count, ends = self._windows.get(key, (0, 0.0))
            if now >= ends:
                count, ends = 0, now + expiry
                self._make_room(now)
            self._windows[key] = (count + amount, ends)
        return count + amount

    def get(self, key: str) -> int:
        count, ends = self._windows.get(key, (0, 0.0))
        return count if self._clock() < ends else 0

    def get_expiry(self, key: str) -> float:
        return self._windows.get(key, (0, self._clock()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        count = len(self._windows)
        self._windows = {}
        return count

    def clear(self, key: str) -> None:
        self._windows.pop(key, None)

    def _make_room(self, now: float) -> None:
        if len(self._windows) >= _MANY:
            self._windows = {key: window for key, window in self._windows.items() if now < window[1]}
