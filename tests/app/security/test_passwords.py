from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from algosat.security.passwords import Passwords, weakness
from tests.app.fakes import quick_passwords


def test_password_fits_only_its_own_hash() -> None:
    passwords = quick_passwords()
    hashed = passwords.hash("correct horse battery")
    assert passwords.fits(hashed, "correct horse battery")
    assert not passwords.fits(hashed, "correct horse batterz")


@pytest.mark.parametrize("stored", [None, "", "not a hash", "$argon2id$v=19$broken"])
def test_no_password_fits_a_missing_or_malformed_hash(stored: str | None) -> None:
    assert not quick_passwords().fits(stored, "nobody has this password")


def test_hash_of_lower_cost_is_outdated() -> None:
    old = quick_passwords().hash("correct horse battery")
    assert Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)).is_outdated(old)


@pytest.mark.parametrize("password", ["short", "x" * 257, "i am Ann, hello", "abababababab"])
def test_weak_password_is_reported(password: str) -> None:
    assert weakness(password, "ann") is not None


def test_strong_password_has_no_weakness() -> None:
    assert weakness("correct horse battery", "ann") is None
