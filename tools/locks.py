"""Locks between processes of this checkout, which share caches, keys and podman's network."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from tools.paths import LOCAL

LOCKS = LOCAL / "locks"


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold the lock `name`; a second process waits until the first has left the block.

    A block must not take the same lock again: it would wait for itself.
    """
    LOCKS.mkdir(parents=True, exist_ok=True)
    with (LOCKS / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def only_one(name: str) -> Iterator[bool]:
    """Hold the lock `name` if it is free; yield whether it was."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    with (LOCKS / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
