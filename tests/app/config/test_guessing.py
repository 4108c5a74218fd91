from __future__ import annotations

import base64
import random
import subprocess
import sys

import pytest

from algosat.config.guessing import guesses, is_published, is_random

MADE_UP = (
    "somethingRandomSomethingRandom123",
    "correcthorsebatterystaplecorrecthorse",
    "thisisaverylongsecretkeyforjwttokensigning",
    "MySuperJwtSigningKeyForProduction2026!",
    "AlgosatTradingServerKey2026Production",
    "qwertyuiopasdfghjklzxcvbnm1234567890",
    "0123456789abcdef0123456789abcdef",
    "The quick brown fox jumps over the lazy dog",
)


def generated() -> list[str]:
    """Return keys as the usual programs generate them."""
    source = random.Random(2026)
    raw = [source.randbytes(length) for length in (24, 32, 48, 64)]
    return [each for it in raw for each in (it.hex(), base64.urlsafe_b64encode(it).decode())]


def test_generated_keys_look_random_and_sentences_do_not() -> None:
    assert [key for key in generated() if not is_random(key)] == []
    assert [key for key in MADE_UP if is_random(key)] == []


@pytest.mark.parametrize(
    "published",
    [
        # From the documentation of FastAPI and of Airflow, in two parts for tools that search for secrets.
        "09d25e094faa6ca2556c818166b7a956" + "3b93f7099f6f0f4caa6cf63b88e8d3e7",
        "81HqDtbqAywKSOumSha3Bh" + "WNOdQ26slT6K0YaZeZyPs=",
    ],
)
def test_key_from_public_documentation_is_known(published: str) -> None:
    assert is_published(published)
    assert not is_published(published[:-1])


def test_what_is_known_of_the_user_is_guessed_first() -> None:
    assert guesses("wilhelmina-1987", "wilhelmina") < guesses("wilhelmina-1987") < 10


def test_no_service_loads_the_dictionaries_when_it_starts() -> None:
    program = "import sys, algosat.app, algosat.engine.main; print('zxcvbn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
