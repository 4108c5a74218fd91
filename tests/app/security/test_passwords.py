from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from algosat.security.passwords import Passwords, weakness
from tests.app.fakes import quick_passwords


def test_password_fits_its_own_hash_only() -> None:
    passwords = quick_passwords()
    hashed = passwords.hash("correct horse battery")
    assert passwords.fits(hashed, "correct horse battery")
    assert not passwords.fits(hashed, "correct horse batterz")


@pytest.mark.parametrize("stored", [None, "", "not a hash", "$argon2id$v=19$broken"])
def test_nothing_fits_where_there_is_no_hash(stored: str | None) -> None:
    assert not quick_passwords().fits(stored, "nobody has this password")


def test_hash_made_with_less_care_is_outdated() -> None:
    old = quick_passwords().hash("correct horse battery")
    assert Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)).is_outdated(old)


@pytest.mark.parametrize("password", ["short", "x" * 257, "i am Ann, hello", "abababababab"])
def test_weak_password_is_named_so(password: str) -> None:
    assert weakness(password, "ann") is not None


def test_strong_password_has_no_weakness() -> None:
    assert weakness("correct horse battery", "ann") is None
