"""How often one client may ask. flask-limiter holds the policy and its storage; each request asks the
storage itself, because the extension's own hooks cost more than the rest of a request.

When the shared storage fails, each worker counts for itself for a while: trading goes on.
"""

from __future__ import annotations

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
from algosat.security.counters import WindowCounters

_log = structlog.get_logger(__name__)

_PATIENCE: Final = 0.1  # seconds the storage has to answer
_PAUSE: Final = 5.0  # seconds until a storage that failed is asked again


class ClientLimiter:
    def __init__(
        self, app: Flask, settings: TokenSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shared = _storage(app, settings.rate_limit_storage)
        self._own: Storage = WindowCounters()
        self._clock = clock
        self._paused_until = 0.0

    @property
    def is_shared(self) -> bool:
        """Whether the configured storage is in use, not this worker's own memory."""
        return self._clock() >= self._paused_until

    def hit(self, client: str, requests: int, window: int) -> None:
        """Count one request of the client. Raises TooManyRequests past `requests` in `window` seconds."""
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
        return question(self._own)


def _storage(app: Flask, uri: str) -> Storage:
    in_memory = uri.startswith("memory:")
    extension = Limiter(
        lambda: "",  # who a client is, the gate knows
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
