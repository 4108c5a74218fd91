from __future__ import annotations

import socket
from pathlib import Path

import pytest
from flask import Flask
from limits.storage import RedisStorage

from algosat.config.settings import Settings, TokenSettings
from algosat.errors import TooManyRequests
from algosat.security.rate_limit import ClientLimiter


class FakeMonotonic:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def limiter_on(settings: Settings, storage: str, clock: FakeMonotonic | None = None) -> ClientLimiter:
    tokens: TokenSettings = settings.algosat.security.model_copy(update={"rate_limit_storage": storage})
    return ClientLimiter(Flask("limiter"), tokens, clock or FakeMonotonic())


def test_request_above_the_limit_is_refused_with_retry_after(settings: Settings) -> None:
    limiter = limiter_on(settings, "memory://")
    for _ in range(3):
        limiter.hit("ann", 3, 60)
    with pytest.raises(TooManyRequests) as caught:
        limiter.hit("ann", 3, 60)
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 61


def test_clients_are_counted_separately(settings: Settings) -> None:
    limiter = limiter_on(settings, "memory://")
    limiter.hit("ann", 1, 60)
    limiter.hit("bob", 1, 60)
    with pytest.raises(TooManyRequests):
        limiter.hit("ann", 1, 60)


def test_worker_counts_in_memory_while_the_storage_is_down(settings: Settings, tmp_path: Path) -> None:
    limiter = limiter_on(settings, f"redis+unix://{tmp_path}/nobody-listens.sock")
    limiter.hit("ann", 2, 60)
    limiter.hit("ann", 2, 60)
    with pytest.raises(TooManyRequests):
        limiter.hit("ann", 2, 60)
    assert not limiter.is_shared


def test_failed_storage_is_tried_again_after_a_pause(settings: Settings, tmp_path: Path) -> None:
    clock = FakeMonotonic()
    limiter = limiter_on(settings, f"redis+unix://{tmp_path}/nobody-listens.sock", clock)
    limiter.hit("ann", 2, 60)
    assert not limiter.is_shared
    clock.now += 5
    assert limiter.is_shared


def test_limiter_adds_no_hooks_to_requests(settings: Settings) -> None:
    app = Flask("limiter")
    ClientLimiter(app, settings.algosat.security)
    assert not any(app.before_request_funcs.values())
    assert not any(app.after_request_funcs.values())


def test_ping_asks_the_storage(settings: Settings, tmp_path: Path) -> None:
    assert limiter_on(settings, "memory://").ping()
    limiter = limiter_on(settings, f"redis+unix://{tmp_path}/nobody-listens.sock")
    assert limiter.is_shared  # no request has failed yet
    assert not limiter.ping()
    assert not limiter.is_shared


def test_ping_gives_up_on_a_storage_that_hangs(settings: Settings, tmp_path: Path) -> None:
    path = str(tmp_path / "redis.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()  # accepts, and never answers
        assert not limiter_on(settings, f"redis+unix://{path}").ping()


def test_storage_that_answers_again_is_used_at_once(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = limiter_on(settings, f"redis+unix://{tmp_path}/nobody-listens.sock")
    limiter.hit("ann", 2, 60)
    assert not limiter.is_shared
    monkeypatch.setattr(RedisStorage, "check", lambda _self: True)
    assert limiter.ping()
    assert limiter.is_shared
