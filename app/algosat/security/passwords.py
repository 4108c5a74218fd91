"""Passwords: kept as argon2id, judged in the same time whether or not the user exists."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from algosat.errors import WeakPassword

SHORTEST: Final = 12
LONGEST: Final = 256  # hashing a megabyte would be a gift to whoever wants the server busy
_AT_ONCE: Final = 2  # each takes the hasher's memory; logins must not starve trading of it


class Passwords:
    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        # OWASP's choice for servers: 19 MiB, two passes.
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._turns = threading.BoundedSemaphore(_AT_ONCE)

    def hash(self, password: str) -> str:
        with self._turns:
            return self._hasher.hash(password)

    def fits(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one that was hashed. Without a hash it takes as long, and is not."""
        nobodys_hash = self._nobodys_hash  # made first, so that the first login tells nothing either
        with self._turns:
            try:
                self._hasher.verify(stored or nobodys_hash, password)
            except (VerificationError, InvalidHashError):
                return False
        return bool(stored)

    @cached_property
    def _nobodys_hash(self) -> str:
        return self.hash("nobody has this password")

    def is_outdated(self, stored: str) -> bool:
        """Whether it was hashed with less care than is taken today."""
        return self._hasher.check_needs_rehash(stored)


def weakness(password: str, username: str) -> str | None:
    """Why a new password will not do, or None."""
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
    """Raises WeakPassword for a password that will not do."""
    reason = weakness(password, username)
    if reason is not None:
        raise WeakPassword(reason)
