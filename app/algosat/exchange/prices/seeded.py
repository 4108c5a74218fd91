"""Random draws without a generator: each draw is a pure function of its keys.

The same keys give the same draw in any order, after any restart and on every machine: draws use hashing
and exact arithmetic only, not the platform's math library.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

Key = int | str

_UNIFORMS: Final = 12  # their sum less 6 is close enough to normal here; it never exceeds ±6


def uniform(*keys: Key) -> float:
    """Return a number in [0, 1)."""
    return (int.from_bytes(_digest(keys, 8), "big") >> 11) / 2**53


def normal(*keys: Key) -> float:
    """Return a nearly normal number with mean 0 and standard deviation 1."""
    digest = _digest(keys, 4 * _UNIFORMS)
    parts = (int.from_bytes(digest[at : at + 4], "big") for at in range(0, len(digest), 4))
    return sum(parts) / 2**32 - _UNIFORMS / 2


def _digest(keys: tuple[Key, ...], size: int) -> bytes:
    return blake2b("\x1f".join(map(str, keys)).encode(), digest_size=size).digest()
