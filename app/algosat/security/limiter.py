"""How often one client may ask. flask-limiter holds the policy and its storage; each request asks the
counter underneath, because the extension's own hooks cost more than the rest of a request.

When the shared storage fails, each worker counts for itself for a while: trading goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from flask import Flask
from flask_limiter import Limiter
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, RateLimiter

from algosat.config.settings import Tokens
from algosat.errors import TooManyRequests

_log = structlog.get_logger(__name__)

_PATIENCE: Final = 0.1  # seconds the storage has to answer
_PAUSE: Final = 5.0  # seconds until a storage that failed is asked again


class ClientLimiter:
    def __init__(self, app: Flask, settings: Tokens, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = _limiter(app, settings.rate_limit_storage)
        self._own: RateLimiter = FixedWindowRateLimiter(MemoryStorage())
        self._clock = clock
        self._paused_until = 0.0
        self._items: dict[tuple[int, int], RateLimitItem] = {}

    @property
    def is_shared(self) -> bool:
        """Whether the configured storage is in use, not this worker's own memory."""
        return self._clock() >= self._paused_until

    def hit(self, client: str, requests: int, window: int) -> None:
        """Count one request of the client. Raises TooManyRequests past `requests` in `window` seconds."""
        item = self._items.get((requests, window))
        if item is None:
            item = self._items[requests, window] = RateLimitItemPerSecond(requests, window, "algosat")
        if not self._count(item, client):
            raise self._too_many(item, client)

    def _count(self, item: RateLimitItem, client: str) -> bool:
        if self.is_shared:
            try:
                return self._shared.hit(item, client)
            except StorageError as error:
                self._pause(error)
        return self._own.hit(item, client)

    def _too_many(self, item: RateLimitItem, client: str) -> TooManyRequests:
        limiter = self._shared if self.is_shared else self._own
        try:
            reset = limiter.get_window_stats(item, client).reset_time
        except StorageError as error:
            self._pause(error)
            reset = time.time() + item.get_expiry()
        wait = max(1, round(reset - time.time() + 0.5))
        return TooManyRequests(
            f"more than {item.amount} requests in {item.get_expiry()} s; try again in {wait} s",
            headers={"Retry-After": str(wait)},
        )

    def _pause(self, error: Exception) -> None:
        self._paused_until = self._clock() + _PAUSE
        _log.warning("rate_limit_storage_failed", reason=str(error), counting="per worker")


def _limiter(app: Flask, storage: str) -> RateLimiter:
    extension = Limiter(
        lambda: "",  # who a client is, the gate knows
        storage_uri=storage,
        storage_options={} if storage.startswith("memory:") else _redis_options(),
        strategy="fixed-window",
    )
    _init_without_hooks(app, extension)
    return extension.limiter


def _redis_options() -> dict[str, Any]:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_timeout": _PATIENCE,
        "socket_connect_timeout": _PATIENCE,
        "retry": Retry(NoBackoff(), 0),  # its own three tries would hold a request for seconds
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
