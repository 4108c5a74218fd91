from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher

from algosat.errors import Overloaded
from algosat.security.passwords import Passwords, weakness
from tests.app.events import PATIENCE
from tests.app.fakes import quick_passwords


def test_password_fits_only_its_own_hash() -> None:
    passwords = quick_passwords()
    hashed = passwords.hash("correct horse battery")
    assert passwords.fits(hashed, "correct horse battery")
    assert not passwords.fits(hashed, "correct horse batterz")


@pytest.mark.parametrize("stored", [None, "", "not a hash", "$argon2id$v=19$broken"])
def test_no_password_fits_a_missing_or_malformed_hash(stored: str | None) -> None:
    assert not quick_passwords().fits(stored, "nobody has this password")


def test_password_fits_however_the_keyboard_writes_its_accents() -> None:
    composed, decomposed = "Ein sch\u00f6nes Geheimnis", "Ein scho\u0308nes Geheimnis"
    passwords = quick_passwords()
    for set_with, typed in ((composed, decomposed), (decomposed, composed), (decomposed, decomposed)):
        assert passwords.fits(passwords.hash(set_with), typed)
    of_an_earlier_release = passwords._hasher.hash(decomposed)  # noqa: SLF001
    assert passwords.fits(of_an_earlier_release, decomposed)
    assert not passwords.fits(None, decomposed)


def test_hash_of_lower_cost_is_outdated() -> None:
    old = quick_passwords().hash("correct horse battery")
    assert Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)).is_outdated(old)


@pytest.mark.parametrize(
    "password",
    [
        *("short", "x" * 257, "i am Ann, hello", "abababababab"),
        *("password1234", "123456789012", "letmein12345", "algosat12345", "qwertyuiop12", "Welcome2026!!"),
        *("P@ssw0rd1234", "tradertrader", "AnnaAnna2026"),
    ],
)
def test_weak_password_is_reported(password: str) -> None:
    assert weakness(password, "ann") is not None


def test_strong_password_has_no_weakness() -> None:
    assert weakness("correct horse battery", "ann") is None


def test_login_without_a_place_to_wait_is_refused() -> None:
    hashing, release = threading.Semaphore(0), threading.Event()

    class SlowHasher(PasswordHasher):
        def hash(self, *_: object, **__: object) -> str:
            hashing.release()
            release.wait(PATIENCE)
            return "hash"

    passwords = Passwords(SlowHasher(), places=lambda: None)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(passwords.hash, "correct horse battery") for _ in range(2)]
        assert all(hashing.acquire(timeout=PATIENCE) for _ in both)
        with pytest.raises(Overloaded):
            passwords.hash("correct horse battery")
        release.set()
        assert [each.result() for each in both] == ["hash", "hash"]
    assert passwords.hash("correct horse battery") == "hash"
