"""The store: commits, waiting writers, pages and the book at size, replay."""

from __future__ import annotations

import multiprocessing
import sqlite3
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from algosat.store import queries, schema_version
from algosat.store.database import Database
from algosat.store.prepared import Prepared
from algosat.store.verify.verify import verify
from algosat.store.write_lock import exclusive
from algosat.store.writer import Writer
from tools.bench.fill import EVENTS_AN_ORDER, Filler
from tools.bench.report import Figure, in_turns, median_seconds, milliseconds
from tools.say import note

_CONNECTIONS: Final = 8
_WRITERS: Final = 4
_SECONDS: Final = 3.0
_SIZES: Final = (1_000, 100_000, 1_000_000)
_READS: Final = 100
_ONE_MORE: Final = Prepared(text("INSERT INTO t VALUES (1)"))  # as the order path writes


def group_commit(directory: Path) -> Figure:
    """Measure units per second of eight threads: grouped, and with a commit for each unit."""
    database = _counter(directory / "group.db")
    writer = Writer(database)
    grouped = _throughput(lambda: writer.run(_insert))
    writer.close()
    single = _throughput(lambda: _commit_one(database))
    ratio = grouped / single
    return Figure(
        "group commit against one commit a unit behind the same lock, 8 threads",
        f"{grouped:.0f}/s against {single:.0f}/s: {ratio:.1f}×; one bare thread {_bare(directory):.0f}/s",
        "≥ 3×",
        ratio >= 3,
    )


def _bare(directory: Path) -> float:
    """Return the commits per second of a single thread."""
    only_one = sqlite3.connect(directory / "single.db", check_same_thread=False, isolation_level=None)
    with closing(only_one) as connection:
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (n)")
        return _throughput(lambda: _commit_alone(connection), threads=1)


def _commit_one(database: Database) -> None:
    with exclusive(database), database.write() as connection:
        _insert(connection)


def longest_wait(directory: Path) -> list[Figure]:
    """Measure the longest wait of four writing processes, and whether their shares are equal."""
    figures = []
    for name, target in (("lock in front", _write_with_lock), ("busy_timeout alone", _write_with_timeout)):
        path = directory / f"wait-{name.split()[0]}.db"
        _counter(path).close()
        waits, counts = _compete(target, path)
        spread = max(counts) / max(1, min(counts))
        with_lock = name == "lock in front"
        figures.append(
            Figure(
                f"longest wait of 4 writing processes, {name}",
                f"{max(waits) * 1000:.0f} ms, shares within {spread:.2f}×",
                "≤ 300 ms, within 1.2×" if with_lock else "",
                (max(waits) <= 0.3 and spread <= 1.2) if with_lock else None,
            )
        )
    return figures


def at_size(directory: Path) -> list[Figure]:
    """Measure reads on a thousand to a million orders, and the replay of a million events."""
    filler = Filler(directory / "large.db")
    stores: dict[int, Database] = {}
    for size in _SIZES:
        note(f"    filling {size:,} orders")
        if size == _SIZES[-1]:
            replayed = _replay(filler.grow_to(size // EVENTS_AN_ORDER))
        grown = filler.grow_to(size, with_events=size < _SIZES[-1])
        stores[size] = _copy(grown, directory / f"{size}.db") if size < _SIZES[-1] else grown
    pages = _in_turns(stores, _page)
    books = _in_turns(stores, _book)
    start = median_seconds(lambda: _open(directory / "large.db"), 5)
    return [
        _growth("page of 100 orders", pages, 1.2),
        _growth("positions", books, 1.5),
        Figure("opening the store of 1e6 orders, schema checked", milliseconds(start), ""),
        Figure("verify of 1e6 events", replayed, ""),
    ]


def _copy(database: Database, to: Path) -> Database:
    with closing(sqlite3.connect(str(database.path))) as source, closing(sqlite3.connect(to)) as copy:
        source.backup(copy)
    return Database(f"sqlite:///{to}")


def _in_turns(stores: dict[int, Database], query: Callable[[Connection], object]) -> dict[int, float]:
    """Return the median seconds of the query on each store."""
    works = [partial(_read, database, query) for database in stores.values()]
    return dict(zip(stores, in_turns(works, _READS), strict=True))


def _growth(work: str, seconds: dict[int, float], allowed: float) -> Figure:
    ratio = seconds[_SIZES[-1]] / seconds[_SIZES[0]]
    each = ", ".join(f"{size:.0e}: {milliseconds(value)}" for size, value in seconds.items())
    return Figure(f"{work} by number of orders", f"{each}; {ratio:.2f}×", f"≤ {allowed}×", ratio <= allowed)


def _replay(database: Database) -> str:
    start = time.perf_counter()
    with database.read() as connection:
        found = verify(connection)
    if not found.clean:
        raise SystemExit(f"the bench's own store is not clean: {found.findings[:3]}")
    return f"{time.perf_counter() - start:.1f} s for {found.events} events"


def _open(path: Path) -> None:
    database = Database(f"sqlite:///{path}")
    schema_version.require_current(database)
    database.close()


def _read(database: Database, query: Callable[[Connection], object]) -> None:
    with database.read() as connection:
        query(connection)


def _page(connection: Connection) -> object:
    return queries.orders_page(connection, limit=100, status="filled")


def _book(connection: Connection) -> object:
    return queries.open_positions(connection, "paper")


def _counter(path: Path) -> Database:
    database = Database(f"sqlite:///{path}")
    with database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (n)"))
    return database


def _insert(connection: Connection) -> None:
    _ONE_MORE.run(connection, {})


def _commit_alone(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.execute("COMMIT")


def _throughput(unit: Callable[[], object], threads: int = _CONNECTIONS) -> float:
    """Return the units per second of all threads."""
    stop = time.perf_counter() + _SECONDS

    def work() -> int:
        done = 0
        while time.perf_counter() < stop:
            unit()
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda _: work(), range(threads))) / _SECONDS


def _compete(target: Callable[..., None], path: Path) -> tuple[list[float], list[int]]:
    spawn = multiprocessing.get_context("spawn")
    results: Queue[tuple[float, int]] = spawn.Queue()
    start = time.time() + 2  # all processes have started by then
    processes = [spawn.Process(target=target, args=(str(path), start, results)) for _ in range(_WRITERS)]
    for process in processes:
        process.start()
    outcomes = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return [wait for wait, _ in outcomes], [count for _, count in outcomes]


def _write_with_lock(path: str, start: float, results: Queue[tuple[float, int]]) -> None:
    writer = Writer(Database(f"sqlite:///{path}"))
    _measure(lambda: writer.run(_insert), start, results)
    writer.close()


def _write_with_timeout(path: str, start: float, results: Queue[tuple[float, int]]) -> None:
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        _measure(lambda: _commit_alone(connection), start, results)


def _measure(unit: Callable[[], None], start: float, results: Queue[tuple[float, int]]) -> None:
    time.sleep(max(0.0, start - time.time()))
    stop = time.perf_counter() + _SECONDS
    longest, count = 0.0, 0
    while (before := time.perf_counter()) < stop:
        unit()
        longest = max(longest, time.perf_counter() - before)
        count += 1
    results.put((longest, count))


def figures() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        return [group_commit(directory), *longest_wait(directory), *at_size(directory)]
