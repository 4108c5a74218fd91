"""The emergency journal: halts and cancels that the store refused to take.

A file that is allocated while there is space, so that a record finds room on a full disk. If it cannot be
written, as on a read-only file system, a file in the runtime directory takes its place; it outlasts restarts
of the services, but not of the machine. Records are on disk before `append` returns.

Each record is a line of a checksum and JSON. A zero byte ends the file's content, so that a record which was
torn by a power cut, and everything after it, is ignored.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import orjson
import structlog
from sqlalchemy import Connection, select

from algosat.errors import StoreBusy
from algosat.store.audit import Cause
from algosat.store.tables import events

MERGED: Final = "emergency.merged"  # kind of the event in the audit trail whose subject is the record

_NAME: Final = "emergency.journal"
_SIZE: Final = 1 << 20  # bytes: some thousand records
_END: Final = b"\0"

_log = structlog.get_logger(__name__)


class RecordKind(StrEnum):
    HALT = "halt"
    CANCEL = "cancel"
    CANCEL_ALL = "cancel_all"


@dataclass(frozen=True, slots=True)
class Record:
    """A request that the store did not take."""

    id: str
    kind: RecordKind
    at: datetime
    cause: Cause
    data: Mapping[str, Any]


class EmergencyJournal:
    def __init__(self, data_directory: Path, runtime_directory: Path) -> None:
        self._paths = (str(data_directory / _NAME), str(runtime_directory / _NAME))

    def allocate(self) -> None:
        """Allocate the file, so that records find room on a full disk. Raises OSError."""
        with _locked(self._paths[0]) as handle:
            os.posix_fallocate(handle, 0, _SIZE)

    def append(self, kind: RecordKind, at: datetime, cause: Cause, data: Mapping[str, Any]) -> Record:
        """Write a record to disk. Raises StoreBusy if no file takes it."""
        record = Record(f"e{secrets.token_hex(8)}", kind, at, cause, data)
        for path in self._paths:
            try:
                _append(path, _line_of(record))
            except OSError as error:
                _log.warning("emergency_journal_refused", file=path, reason=error.strerror)
            else:
                _log.critical("emergency_record", record=record.id, kind=kind, subject=data, file=path)
                return record
        raise StoreBusy("Neither the store nor the emergency journal can be written")

    def records(self) -> list[Record]:
        """Return the records of the files, oldest first. A merged one stays if it could not be removed."""
        found = [record for path in self._paths for record in _records(path)]
        return sorted(found, key=lambda record: record.at)

    def unmerged(self, connection: Connection) -> list[Record]:
        """Return the records that the store does not hold yet, even if others could not be removed."""
        return [record for record in self.records() if not is_merged(connection, record)]

    def remove(self, records: Sequence[Record]) -> None:
        """Remove records that have been merged into the store; others stay.

        A record that cannot be removed now is removed with the next ones: it is never merged twice.
        """
        merged = {record.id for record in records}
        for path in self._paths:
            if _records(path):
                with suppress(OSError):
                    _remove(path, merged)


def is_merged(connection: Connection, record: Record) -> bool:
    """Return whether the record was merged into the store."""
    statement = select(events.c.seq).where(events.c.subject == record.id, events.c.kind == MERGED)
    return connection.execute(statement.limit(1)).first() is not None


def _records(path: str) -> list[Record]:
    # Each transaction asks: `Path.open` would take four times as long.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        if os.pread(handle, 1, 0) in (b"", _END):
            return []
        return [record for record, _ in _parsed(os.pread(handle, _SIZE, 0))]
    except OSError:
        return []
    finally:
        os.close(handle)


def _append(path: str, line: bytes) -> None:
    with _locked(path) as handle:
        content = os.pread(handle, _SIZE, 0)
        end = max((at for _, at in _parsed(content)), default=0)
        if end + len(line) + len(_END) > _SIZE:
            raise OSError(None, "the journal is full")
        _write(handle, line + _END, end)


def _remove(path: str, merged: set[str]) -> None:
    with _locked(path) as handle:
        content = os.pread(handle, _SIZE, 0)
        kept = b"".join(_line_of(record) for record, _ in _parsed(content) if record.id not in merged)
        _write(handle, kept + _END, 0)


def _write(handle: int, content: bytes, offset: int) -> None:
    if os.pwrite(handle, content, offset) != len(content):
        raise OSError(None, "the record was not written whole")
    os.fsync(handle)


@contextmanager
def _locked(path: str) -> Iterator[int]:
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _line_of(record: Record) -> bytes:
    body = orjson.dumps(
        {
            "id": record.id,
            "kind": record.kind,
            "at": record.at.isoformat(),
            "actor": record.cause.actor,
            "correlation_id": record.cause.correlation_id,
            "data": record.data,
        }
    )
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _parsed(content: bytes) -> Iterator[tuple[Record, int]]:
    """Yield each record with the offset at which it ends, up to the first that is not whole."""
    end = 0
    for line in content.partition(_END)[0].split(b"\n"):
        checksum, _, body = line.partition(b" ")
        if checksum != b"%08x" % zlib.crc32(body):
            return
        end += len(line) + 1
        found = orjson.loads(body)
        cause = Cause(found["actor"], found["correlation_id"])
        at = datetime.fromisoformat(found["at"])
        yield Record(found["id"], RecordKind(found["kind"]), at, cause, found["data"]), end
