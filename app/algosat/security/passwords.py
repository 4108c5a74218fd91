"""Passwords: hashed with argon2id, and checked in the same time whether or not the user exists."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from algosat.errors import WeakPassword

SHORTEST: Final = 12
LONGEST: Final = 256  # hashing a megabyte would be an easy way to keep the server busy
_AT_ONCE: Final = 2  # each hash takes 19 MiB; logins must not starve trading of memory


class Passwords:
    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        # OWASP's recommendation for servers: 19 MiB, two passes.
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._slots = threading.BoundedSemaphore(_AT_ONCE)

    def hash(self, password: str) -> str:
        with self._slots:
            return self._hasher.hash(password)

    def fits(self, stored: str | None, password: str) -> bool:
        """Return whether the password matches the hash. Without a hash it takes as long and returns False."""
        dummy_hash = self._dummy_hash  # computed first, so that the first login takes as long as others
        with self._slots:
            try:
                self._hasher.verify(stored or dummy_hash, password)
            except (VerificationError, InvalidHashError):
                return False
        return bool(stored)

    @cached_property
    def _dummy_hash(self) -> str:
        return self.hash("nobody has this password")

    def is_outdated(self, stored: str) -> bool:
        """Return whether the hash was made with other parameters than those in use."""
        return self._hasher.check_needs_rehash(stored)


def weakness(password: str, username: str) -> str | None:
    """Return why a new password is too weak, or None."""
    if len(password) < SHORTEST:
        return f"a password has at least {SHORTEST} characters"
    if len(password) > LONGEST:
        return f"a password has at most {LONGEST} characters"
    if username.lower() in password.lower():
        return "a password does not contain the user's name"
    if len(set(password)) < 5:
        return "a password has at least 5 different characters"
    return None


def require_strong(password: str, username: str) -> None:
    """Raise WeakPassword if a new password is too weak."""
    reason = weakness(password, username)
    if reason is not None:
        raise WeakPassword(reason)
