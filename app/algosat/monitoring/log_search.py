"""Search in the log: the lines about an order, a request or a user, in rotated files too.

Lines are tied to each other by the correlation id. What a request caused in another process is found too, and
the store is not needed.
"""

from __future__ import annotations

import gzip
import re
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import orjson

from algosat.config.settings import LoggingSettings
from algosat.errors import InvalidQuery, NotFound

Lines = Callable[[], Iterator[bytes]]

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_JOURNAL: Final = ("journalctl", "--unit", "algosat*", "--output", "cat", "--no-pager", "--quiet")
_SPAN: Final = re.compile(r"(\d+)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NO_ID: Final = "-"
# A field of a line in the format `text`.
_FIELD: Final = re.compile(r"(?:^| )(correlation_id|order|caller)=(\S+)")
_TEXT_START: Final = re.compile(r"(?P<timestamp>\d{4}-\d\d-\d\dT\S+) \[(?P<level>\w+) *\]")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What lines are wanted. Without an order, a request and a user: all."""

    order: str | None = None
    request: str | None = None
    user: str | None = None
    since: datetime | None = None
    level: str = LEVELS[0]  # and all more severe ones
    limit: int = 1000  # the last so many

    @property
    def is_about_something(self) -> bool:
        return not self.order is self.request is self.user is None


def lines_of(settings: LoggingSettings) -> Lines:
    """Return a function that reads all lines, oldest first: of the log's files, or else of the journal."""
    file = settings.file
    return _journal if file is None else lambda: _files(file)


def search(read: Lines, query: LogQuery) -> list[bytes]:
    """Return the wanted lines, oldest first."""
    ids = _related_ids(read(), query) if query.is_about_something else set()
    found = (line for line in read() if _is_wanted(line, query, ids))
    return list(deque(found, maxlen=query.limit))


def moment(text: str, now: datetime) -> datetime:
    """Return the time that a person wrote, as `90m`, `2h`, `3d` or ISO 8601. Raises InvalidQuery."""
    span = _SPAN.fullmatch(text)
    if span:
        return now - timedelta(seconds=int(span.group(1)) * _SECONDS[span.group(2)])
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidQuery(f"{text!r} is no time: write 90m, 2h, 3d or 2026-11-20T09:15:00Z") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _related_ids(lines: Iterator[bytes], query: LogQuery) -> set[str]:
    """Return the correlation ids of the lines that name what is wanted."""
    caller = None if query.user is None else f"user:{query.user}"
    named = {"order": query.order, "correlation_id": query.request, "caller": caller}
    seeds = {name: value for name, value in named.items() if value is not None}
    tokens = [value.encode() for value in seeds.values()]
    ids = set()
    for line in lines:
        if all(token in line for token in tokens):  # quicker than reading every line
            fields = _fields(line)
            if all(fields.get(name) == value for name, value in seeds.items()):
                ids.add(fields.get("correlation_id", _NO_ID))
    return ids - {_NO_ID}


def _is_wanted(line: bytes, query: LogQuery, ids: set[str]) -> bool:
    fields = _fields(line)
    level, at = fields.get("level"), fields.get("timestamp")
    if level in LEVELS and LEVELS.index(level) < LEVELS.index(query.level):
        return False
    if query.since is not None and at is not None and datetime.fromisoformat(at) < query.since:
        return False
    if not query.is_about_something:
        return True
    order = fields.get("order")
    if query.order is not None and order is not None:
        return order == query.order  # a request may concern several orders
    return fields.get("correlation_id") in ids


def _fields(line: bytes) -> Mapping[str, str]:
    """Return the fields of a line in either format."""
    if line.startswith(b"{"):
        try:
            found: dict[str, str] = orjson.loads(line)
        except orjson.JSONDecodeError:
            return {}
        return found
    text = line.decode(errors="replace")
    start = _TEXT_START.match(text)
    return {**(start.groupdict() if start else {}), **dict(_FIELD.findall(text))}


def _files(file: Path) -> Iterator[bytes]:
    found = sorted(file.parent.glob(f"{file.name}*"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise NotFound(f"there is no log at {file}: has a service of this server run?")
    for path in found:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            yield from lines


def _journal() -> Iterator[bytes]:
    try:
        with subprocess.Popen(_JOURNAL, stdout=subprocess.PIPE) as process:  # noqa: S603 - a constant
            if process.stdout is not None:
                yield from process.stdout
    except FileNotFoundError as error:
        raise NotFound("logging.file is null, and there is no journalctl here to read the journal") from error
