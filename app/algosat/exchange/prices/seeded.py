"""Chance without a generator to keep: a draw is a pure function of its keys.

The same keys give the same draw in any order and after any restart, on every machine: only
hashing and exact arithmetic are used, nothing of the platform's mathematics library.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

Key = int | str

_UNIFORMS: Final = 12  # their sum less six is as good as normal here, with no tail beyond six deviations


def uniform(*keys: Key) -> float:
    """Somewhere in [0, 1)."""
    return (int.from_bytes(_digest(keys, 8), "big") >> 11) / 2**53


def normal(*keys: Key) -> float:
    """Around 0 with a deviation of 1."""
    digest = _digest(keys, 4 * _UNIFORMS)
    parts = (int.from_bytes(digest[at : at + 4], "big") for at in range(0, len(digest), 4))
    return sum(parts) / 2**32 - _UNIFORMS / 2


def _digest(keys: tuple[Key, ...], size: int) -> bytes:
    return blake2b("\x1f".join(map(str, keys)).encode(), digest_size=size).digest()
