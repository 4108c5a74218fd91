"""How easy it is to guess a password or a key.

The estimate knows common passwords, words, names, dates, keyboard rows and repetitions, also when they are
combined or misspelt. It takes 12 MB and a third of a second to load, so no service loads it when it starts.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_LOOKED_AT: Final = 72  # characters; the time grows with their square
_PRODUCT: Final = ("algosat", "trading", "trader", "admin", "password", "secret")
# Of 300 random keys of 32 hexadecimal digits the lowest had 0.886, of 1,150 others 0.948. Words have less.
_RANDOM: Final = 0.86  # decimal digits of guesses for each character
_DIGEST: Final = 32  # hexadecimal digits
# Keys that documentation or the example configuration of other programs publish, as SHA-256.
_PUBLISHED: Final = frozenset(
    {
        "570dad43de1af4c925f92c16a68a5093",  # FastAPI: tutorial on tokens
        "2598f7d6adc142d88161630f3db12ab2",  # Flask: documentation of SECRET_KEY
        "b369f30b3b4751c22758ed5c958c4f9b",  # OpenAlgo: APP_KEY of the sample
        "3b7221846c46712b58119e9c9b5554e1",  # OpenAlgo: API_KEY_PEPPER of the sample
        "81886cc4d79074f6e946934d4e9e9d6a",  # Airflow: Fernet key of container images
        "45f9af60db8dc522a2d2f8d302f80d4e",  # Airflow: Fernet key of examples
    }
)


def guesses(secret: str, *known: str) -> float:
    """Return the decimal logarithm of the number of guesses that find the secret.

    Args:
        known: What an attacker tries first, such as the user's name.
    """
    from zxcvbn import zxcvbn

    found = zxcvbn(secret[:_LOOKED_AT], user_inputs=[*_PRODUCT, *known], max_length=_LOOKED_AT)
    return float(found["guesses_log10"])


def is_random(key: str) -> bool:
    """Return whether a key looks as if a program had generated it."""
    return not re.search(r"\s", key) and guesses(key) >= _RANDOM * min(len(key), _LOOKED_AT)


def is_published(key: str) -> bool:
    """Return whether a key is known to everybody."""
    return hashlib.sha256(key.encode()).hexdigest()[:_DIGEST] in _PUBLISHED
