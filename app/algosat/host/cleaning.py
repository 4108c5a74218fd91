"""Cleaning the disk: which files may go by themselves, and where they are kept until nobody missed them.

Only caches and rotated logs beyond their bounds go. They are moved into the bin, from which they can be put
back for a week.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Final

import structlog

from algosat.config.settings import AlgosatFile
from algosat.errors import NotFound

_DAY: Final = 86_400.0
_GIB: Final = 2**30
KEPT_FOR: Final = 7 * _DAY  # seconds in the bin
KEPT_WHILE_FULL: Final = _DAY  # while the disk is above its threshold
_BIN: Final = "removed"  # below the data directory
_MANIFEST: Final = "manifest.json"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file in a place that is cleaned."""

    path: Path
    size: int
    changed_at: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class CleanedPlace:
    """Where files may go, and from when on."""

    name: str
    directory: Path
    pattern: str
    kept_for: float  # seconds since the last change
    most_bytes: int  # of all files together

    def chosen(self, candidates: Iterable[Candidate], now: float) -> list[Candidate]:
        """Return the files to remove: those that are too old, and the oldest of what is too much."""
        left, room = [], self.most_bytes
        for each in sorted(candidates, key=lambda each: each.changed_at, reverse=True):
            room -= each.size
            if now - each.changed_at > self.kept_for or room < 0:
                left.append(each)
        return left

    def candidates(self) -> Iterator[Candidate]:
        """Yield the regular files of the place. A link leads elsewhere, so it is left alone."""
        for path in self.directory.glob(self.pattern):
            try:
                found = path.lstat()
            except FileNotFoundError:
                continue
            if S_ISREG(found.st_mode) and _is_within(path, self.directory):
                yield Candidate(path, found.st_size, found.st_mtime)


def places(settings: AlgosatFile) -> list[CleanedPlace]:
    """Return the places of this server."""
    found = [CleanedPlace("cache", settings.data_directory / "cache", "**/*", 30 * _DAY, _GIB)]
    file = settings.logging.file
    if file is not None:
        # logrotate keeps a number of files; those of an earlier name or schedule stay behind.
        found.append(CleanedPlace("logs", file.parent, f"{file.name}[.-]*", 90 * _DAY, _GIB))
    return found


def plan(places: Sequence[CleanedPlace], now: float) -> Mapping[str, list[Candidate]]:
    """Return the files to remove, by place."""
    found = {place.name: place.chosen(place.candidates(), now) for place in places}
    return {name: files for name, files in found.items() if files}


@dataclass(frozen=True, slots=True)
class RemovedFile:
    origin: str
    stored: str  # its name in the bin
    size: int


@dataclass(frozen=True, slots=True)
class Removal:
    """Files that went together."""

    id: str
    at: float  # seconds since 1970
    files: tuple[RemovedFile, ...]

    @property
    def size(self) -> int:
        return sum(each.size for each in self.files)


class Bin:
    """The removed files of a server, below its data directory."""

    def __init__(self, data_directory: Path) -> None:
        self._directory = data_directory / _BIN

    def all(self) -> list[Removal]:
        """Return what can be put back, newest first."""
        found = (_removal(each) for each in self._directory.glob(f"*/{_MANIFEST}"))
        return sorted((each for each in found if each), key=lambda each: each.at, reverse=True)

    def remove(self, files: Iterable[Candidate], now: float, removal_id: str) -> Removal:
        """Move files into the bin. The manifest is written first: a move that is cut can be undone.

        A file that has changed since it was chosen stays.
        """
        chosen = list(files)
        removed = [RemovedFile(str(each.path), f"{number}", each.size) for number, each in enumerate(chosen)]
        removal = Removal(removal_id, now, tuple(removed))
        directory = self._directory / removal_id
        directory.mkdir(parents=True, mode=0o700)
        (directory / _MANIFEST).write_text(json.dumps(asdict(removal)))
        for each, candidate in zip(removed, chosen, strict=True):
            if _is_unchanged(candidate):
                shutil.move(candidate.path, directory / each.stored)
        return removal

    def restore(self, removal_id: str) -> tuple[int, list[str]]:
        """Put files back. Returns how many, and the paths that exist again and keep their content.

        Raises NotFound.
        """
        removal = self._of(removal_id)
        directory, restored, kept = self._directory / removal_id, 0, list[str]()
        for each in removal.files:
            stored, origin = directory / each.stored, Path(each.origin)
            if not stored.exists():
                continue  # it never went
            if origin.exists():
                kept.append(each.origin)
                continue
            origin.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(stored, origin)
            restored += 1
        if not kept:
            shutil.rmtree(directory)
        return restored, kept

    def purge(self, now: float, kept_for: float = KEPT_FOR) -> list[Removal]:
        """Delete what has been in the bin for so many seconds. Returns it."""
        expired = [each for each in self.all() if now - each.at > kept_for]
        for each in expired:
            shutil.rmtree(self._directory / each.id)
        return expired

    def _of(self, removal_id: str) -> Removal:
        for each in self.all():
            if each.id == removal_id:
                return each
        raise NotFound(
            f"nothing was removed as {removal_id!r}: `algosat host removed` lists what can be put back"
        )


def new_id(now: float) -> str:
    """Return an id for a removal, which sorts by time."""
    return f"{int(now)}-{secrets.token_hex(4)}"


def _removal(manifest: Path) -> Removal | None:
    try:
        data = json.loads(manifest.read_text())
        return Removal(data["id"], data["at"], tuple(RemovedFile(**each) for each in data["files"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("removal_unreadable", file=str(manifest), problem=str(error))
        return None


def _is_unchanged(candidate: Candidate) -> bool:
    try:
        found = os.lstat(candidate.path)
    except FileNotFoundError:
        return False
    return S_ISREG(found.st_mode) and (found.st_size, found.st_mtime) == (
        candidate.size,
        candidate.changed_at,
    )


def _is_within(path: Path, directory: Path) -> bool:
    """Return whether no link on the way leads out of the directory."""
    return path.parent.resolve().is_relative_to(directory.resolve())
