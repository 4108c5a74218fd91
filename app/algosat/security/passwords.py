"""Passwords: hashed with argon2id, and checked in the same time whether or not the user exists."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from algosat.config.guessing import guesses
from algosat.errors import Overloaded, WeakPassword

SHORTEST: Final = 12
LONGEST: Final = 256  # hashing a megabyte would be an easy way to keep the server busy
_FEWEST_GUESSES: Final = 10.0  # decimal digits of their number
_AT_ONCE: Final = 2  # each hash takes 19 MiB; logins must not starve trading of memory


class Passwords:
    def __init__(
        self,
        hasher: PasswordHasher | None = None,
        places: Callable[[], Callable[[], None] | None] | None = None,
    ) -> None:
        """Prepare the hashing.

        Args:
            places: Limits how many callers wait for a hash, as `Bulkhead.enter`; None: all may.
        """
        # OWASP's recommendation for servers: 19 MiB, two passes.
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._slots, self._places = threading.BoundedSemaphore(_AT_ONCE), places

    def hash(self, password: str) -> str:
        with self._slot():
            return self._hasher.hash(_normal(password))

    def fits(self, stored: str | None, password: str) -> bool:
        """Return whether the password matches the hash. Without a hash it takes as long and returns False."""
        dummy_hash = self._dummy_hash  # computed first, so that the first login takes as long as others
        # Earlier releases hashed what was typed.
        forms = dict.fromkeys((_normal(password), password))
        with self._slot():
            return any(self._verifies(stored or dummy_hash, each) for each in forms) and bool(stored)

    def _verifies(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Wait for a slot. Raises Overloaded if enough request threads wait already."""
        if not self._slots.acquire(blocking=False):
            leave = _wait_anywhere if self._places is None else self._places()
            if leave is None:
                raise Overloaded("Too many logins at once; try again shortly", headers={"Retry-After": "1"})
            try:
                self._slots.acquire()
            finally:
                leave()
        try:
            yield
        finally:
            self._slots.release()

    @cached_property
    def _dummy_hash(self) -> str:
        return self.hash("nobody has this password")

    def is_outdated(self, stored: str) -> bool:
        """Return whether the hash was made with other parameters than those in use."""
        return self._hasher.check_needs_rehash(stored)


def _normal(password: str) -> str:
    """Return the password in the one form of its characters: keyboards differ in how they write an accent."""
    return unicodedata.normalize("NFC", password)


def _wait_anywhere() -> None:
    """Give back the place of a caller that needs none."""


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
    if guesses(password, username) < _FEWEST_GUESSES:
        return "a password is not easy to guess: combine several uncommon words, or have one generated"
    return None


def require_strong(password: str, username: str) -> None:
    """Raise WeakPassword if a new password is too weak."""
    reason = weakness(password, username)
    if reason is not None:
        raise WeakPassword(reason)
