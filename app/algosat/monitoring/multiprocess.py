"""One set of metrics for all processes of a server, kept in files below one directory.

Each process counts in files of its own. The files of ended processes are folded: their sums are added to one
file of each type. So counters never go backwards, and a scrape reads few files however many processes ended.

This module must not import the metrics: the client library reads the environment when it is imported, and
`share` must run before.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import structlog

T = TypeVar("T")

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_FILE: Final = re.compile(r"([a-z]+)(?:_[a-z]+)?_(\d+)\.db")
_SUMMED: Final = frozenset({"counter", "histogram", "summary"})  # other types have no value without a process
_LOCK: Final = "lock"
_JOURNAL: Final = "fold.json"  # exists while a fold is carried out, and lists the files that it removes
_NEW: Final = ".new"
_ATTEMPTS: Final = 20
_PAUSE: Final = 0.005  # seconds between attempts

_log = structlog.get_logger(__name__)


def share(runtime_directory: Path) -> None:
    """Make this process and its children write to the server's directory of metrics."""
    directory = runtime_directory / "metrics"
    directory.mkdir(parents=True, exist_ok=True)
    os.environ[VARIABLE] = str(directory)
    fold()


def fold() -> None:
    """Add the files of ended processes to the folded ones, and remove them.

    Does nothing while another process folds: no process waits for one that hangs.
    """
    directory = Path(os.environ.get(VARIABLE, ""))
    if VARIABLE not in os.environ or not directory.is_dir():
        return
    with _lock(directory) as is_mine:
        if not is_mine:
            return
        _finish(directory)
        ended = list(_ended(directory))
        if ended:
            _begin(directory, ended)
            _finish(directory)


def read_consistently(read: Callable[[], T]) -> T:
    """Return what `read` returns, repeated if files were folded meanwhile: no count is missing or doubled."""
    if VARIABLE not in os.environ:
        return read()
    directory = Path(os.environ[VARIABLE])
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE)
        before = _state(directory)
        if before is None:
            fold()  # completes the fold of a process that was killed
            continue
        try:
            result = read()
        except (FileNotFoundError, struct.error):  # removed after it was listed, or not begun yet
            fold()
            continue
        if _state(directory) == before:
            return result
    return read()  # a process was stopped in the middle of its fold: figures are better than none


def _state(directory: Path) -> tuple[tuple[str, int], ...] | None:
    """Return which folded files there are; None while they are being replaced."""
    if (directory / _JOURNAL).exists():
        return None
    try:
        return tuple(sorted((path.name, path.stat().st_ino) for path in directory.glob("*_folded.db")))
    except FileNotFoundError:
        return None


@contextmanager
def _lock(directory: Path) -> Iterator[bool]:
    """Take the lock of the directory if it is free. Yields whether it was."""
    with (directory / _LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _ended(directory: Path) -> Iterator[Path]:
    for path in directory.glob("*.db"):
        named = _FILE.fullmatch(path.name)
        if named and not _is_alive(int(named.group(2))):
            yield path


def _begin(directory: Path, ended: Iterable[Path]) -> None:
    """Write the new sums, then the journal: from then on the fold is completed, whatever happens."""
    by_type: defaultdict[str, list[Path]] = defaultdict(list)
    for path in ended:
        by_type[path.name.partition("_")[0]].append(path)
    for kind in by_type.keys() & _SUMMED:
        folded = directory / f"{kind}_folded.db"
        _write(folded.with_suffix(_NEW), _sums([folded, *by_type[kind]]))
    removed = [path.name for paths in by_type.values() for path in paths]
    draft = directory / f"{_JOURNAL}{_NEW}"
    draft.write_text(json.dumps(removed))
    draft.rename(directory / _JOURNAL)


def _finish(directory: Path) -> None:
    """Complete the fold of the journal, or remove what a process left that was killed before the journal."""
    journal = directory / _JOURNAL
    if not journal.exists():
        for path in directory.glob(f"*{_NEW}"):
            path.unlink()
        return
    for path in directory.glob(f"*_folded{_NEW}"):
        path.rename(path.with_suffix(".db"))
    for name in json.loads(journal.read_text()):
        (directory / name).unlink(missing_ok=True)
    journal.unlink()


def _sums(paths: Iterable[Path]) -> Mapping[str, float]:
    """Return the sum of each value over these files, as far as their processes completed them."""
    from prometheus_client.mmap_dict import MmapedDict

    sums: defaultdict[str, float] = defaultdict(float)
    for path in paths:
        try:
            for key, value, _, _ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
                sums[key] += value
        except FileNotFoundError:
            continue
        except (RuntimeError, struct.error) as error:
            _log.warning("metrics_file_incomplete", file=path.name, problem=str(error))
    return sums


def _write(path: Path, sums: Mapping[str, float]) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    path.unlink(missing_ok=True)
    values = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        values.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    values.close()  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
