from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from algosat.config.settings import Settings, TokenSettings
from algosat.errors import TooManyRequests
from algosat.security.rate_limit import ClientLimiter


class Moments:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def limiter_on(settings: Settings, storage: str, clock: Moments | None = None) -> ClientLimiter:
    tokens: TokenSettings = settings.algosat.security.model_copy(update={"rate_limit_storage": storage})
    return ClientLimiter(Flask("limiter"), tokens, clock or Moments())


def test_request_past_the_limit_is_told_when_to_come_back(settings: Settings) -> None:
    limiter = limiter_on(settings, "memory://")
    for _ in range(3):
        limiter.hit("ann", 3, 60)
    with pytest.raises(TooManyRequests) as caught:
        limiter.hit("ann", 3, 60)
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 61


def test_clients_are_counted_apart(settings: Settings) -> None:
    limiter = limiter_on(settings, "memory://")
    limiter.hit("ann", 1, 60)
    limiter.hit("bob", 1, 60)
    with pytest.raises(TooManyRequests):
        limiter.hit("ann", 1, 60)


def test_without_its_storage_the_worker_counts_for_itself(settings: Settings, tmp_path: Path) -> None:
    limiter = limiter_on(settings, f"redis+unix://{tmp_path}/nobody-listens.sock")
    limiter.hit("ann", 2, 60)
    limiter.hit("ann", 2, 60)
    with pytest.raises(TooManyRequests):
        limiter.hit("ann", 2, 60)
    assert not limiter.is_shared


def test_storage_that_failed_is_asked_again_after_a_pause(settings: Settings, tmp_path: Path) -> None:
    clock = Moments()
    limiter = limiter_on(settings, f"redis+unix://{tmp_path}/nobody-listens.sock", clock)
    limiter.hit("ann", 2, 60)
    assert not limiter.is_shared
    clock.now += 5
    assert limiter.is_shared


def test_the_extension_hangs_nothing_into_requests(settings: Settings) -> None:
    app = Flask("limiter")
    ClientLimiter(app, settings.algosat.security)
    assert not any(app.before_request_funcs.values())
    assert not any(app.after_request_funcs.values())
