"""Replacements for slow or time-dependent parts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from argon2 import PasswordHasher
from pydantic import SecretStr

from algosat.security.keyring import Keyring
from algosat.security.passwords import Passwords
from tests.app.builders import FERNET_KEY

KEYRING: Final = Keyring([SecretStr(FERNET_KEY)])


def quick_passwords() -> Passwords:
    """Return real password hashing at argon2's lowest cost, a hundred times faster."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


class FakeClock:
    """A clock that tests set."""

    def __init__(self, at: datetime = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **amount: float) -> None:
        self.at += timedelta(**amount)

    def seconds(self) -> float:
        return self.at.timestamp()


class InlineWorkers:
    """Runs each task at once, in the caller's thread."""

    def run(self, task: Callable[[], None]) -> None:
        task()

    def free(self) -> int:
        return sys.maxsize

    def close(self) -> None:
        return
