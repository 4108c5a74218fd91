"""The disk reserve of a SQLite store: a file that is emptied when the disk is full, and the size of the WAL.

A full disk must not keep anybody from logging in, halting or closing a position. The engine allocates the
reserve at its start. The process whose write finds no space empties it, and from then on the store takes
exits, but no entries, until the engine could allocate the reserve again.

The WAL grows while any program keeps a read transaction open, since SQLite cannot reuse what that program may
still read. Beyond `_WAL_MAXIMUM` the store takes no entries either.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from algosat.errors import StoreFull

_ENOUGH: Final = 1 << 20  # bytes that must be free for a write to be worth repeating
_TIMES_FREE: Final = 3  # how many times the reserve must be free before it is allocated
_KEEP_FOR: Final = 0.5  # seconds; each order asks
_WAL_MAXIMUM: Final = 1 << 30  # bytes
_PINNED_WAL: Final = 128 << 20  # bytes; a checkpoint at 16 MB keeps the WAL far below
_READ_LOCKS: Final = range(123, 128)  # bytes of the -shm file: WAL_READ_LOCK(0) to (4) of SQLite's wal.c


class DiskReserve:
    def __init__(self, database: Path) -> None:
        self._database = database
        self.path = database.with_name(f"{database.name}.reserve")
        self._wal = database.with_name(f"{database.name}-wal")
        self._bytes = 0  # wanted; the engine knows it
        self._asked_at = -_KEEP_FOR
        self._refusal: str | None = None

    @property
    def is_released(self) -> bool:
        """Whether the reserve has been emptied because the disk was full, and not been allocated again."""
        return self._size(self.path) == 0

    @property
    def wal_bytes(self) -> int:
        return self._size(self._wal) or 0

    @property
    def is_wal_pinned(self) -> bool:
        """Whether the WAL is so large that some program must be keeping a read transaction open."""
        return self.wal_bytes >= _PINNED_WAL

    def keep(self, megabytes: int) -> None:
        """Allocate the reserve with this size, and with the same size after each release; 0 removes it.

        Raises OSError if the file system refuses.
        """
        self._bytes = megabytes << 20
        if self._bytes == 0:
            self.path.unlink(missing_ok=True)
        else:
            self.allocate()

    def allocate(self) -> None:
        """Allocate the reserve if the disk has room for several of its size.

        Raises OSError if the file system refuses.
        """
        size, allocated = self._bytes, self._size(self.path) or 0
        if allocated < size and shutil.disk_usage(self._database.parent).free < _TIMES_FREE * size:
            return
        handle = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            if allocated < size:
                os.posix_fallocate(handle, 0, size)
            elif allocated > size:
                os.ftruncate(handle, size)
        except BaseException:
            os.ftruncate(handle, 0)
            raise
        finally:
            os.close(handle)
        self._asked_at = -_KEEP_FOR

    def release(self) -> bool:
        """Empty the reserve, if it is allocated. Returns whether a write may find space now."""
        with suppress(OSError):
            if self._size(self.path):
                os.truncate(self.path, 0)
                return True
            return shutil.disk_usage(self._database.parent).free > _ENOUGH
        return False

    def require_room_for_entries(self) -> None:
        """Raise StoreFull while what space is left must be kept for exits."""
        now = time.monotonic()
        if now >= self._asked_at + _KEEP_FOR:
            self._asked_at, self._refusal = now, self._why_no_entries()
        if self._refusal is not None:
            raise StoreFull(self._refusal, headers={"Retry-After": "60"})

    def readers(self) -> list[str]:
        """Return the processes that have a read transaction open now, as `name (process id)`."""
        shared = self._database.with_name(f"{self._database.name}-shm")
        with suppress(OSError):
            file = shared.stat()
            device = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
            locks = Path("/proc/locks").read_text().splitlines()
            holders = {pid for pid in (_reader(line, device) for line in locks) if pid is not None}
            return [f"{_name(pid)} ({pid})" for pid in sorted(holders)]
        return []

    def _why_no_entries(self) -> str | None:
        if self.is_released:
            return "The disk of the store is full: only exits are taken until space is free again"
        if self.wal_bytes > _WAL_MAXIMUM:
            return (
                "A program keeps a read transaction of the store open, and the store grows with each write: "
                "only exits are taken until that program has ended"
            )
        return None

    @staticmethod
    def _size(path: Path) -> int | None:
        """Return the size of a file; None if there is none."""
        try:
            return path.stat().st_size
        except OSError:
            return None


def _reader(line: str, device: str) -> int | None:
    """Return the process that a line of /proc/locks names, if the lock is a reader's on the -shm file."""
    fields = line.split()  # number, POSIX, ADVISORY, READ, process, file, first byte, last byte
    if len(fields) != 8 or fields[3] != "READ" or fields[5] != device or int(fields[4]) <= 0:
        return None
    return int(fields[4]) if int(fields[6]) in _READ_LOCKS else None


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "process"
