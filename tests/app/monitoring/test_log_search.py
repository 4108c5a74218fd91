from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from algosat.config.settings import LoggingSettings
from algosat.errors import InvalidQuery, NotFound
from algosat.monitoring.log_search import LogQuery, lines_of, moment, search

NOW = datetime(2026, 11, 20, 9, 15, tzinfo=UTC)


def settings(file: Path | None) -> LoggingSettings:
    return LoggingSettings(level="INFO", format="json", file=file, max_size="1M", backup_count=1)


def line(event: str, request: str, minute: int = 0, level: str = "info", **fields: Any) -> dict[str, Any]:
    at = (NOW + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")
    return {
        "event": event,
        "level": level,
        "timestamp": at,
        "process": "x",
        "correlation_id": request,
    } | fields


LOG = [
    line("request", "login-0001", caller="user:ann", path="/auth/login"),
    line("order.created", "place-0001", 1, order="aone"),
    line("request", "place-0001", 1, caller="user:ann", path="/orders"),
    line("order.created", "place-0002", 2, order="atwo"),
    line("request", "place-0002", 2, caller="user:bob", path="/orders"),
    line("order.submitting", "place-0001", 3, order="aone"),
    line("order.pending_cancel", "halt-00001", 4, "warning", order="aone", reason="order=atwo, order: atwo"),
    line("order.pending_cancel", "halt-00001", 4, "warning", order="atwo"),
    line("risk.halted", "halt-00001", 4, "critical", caller="user:annabel"),
    line("round_failed", "-", 5, "error"),
]


@pytest.fixture
def log(tmp_path: Path) -> LoggingSettings:
    """The log in three files: compressed, rotated, and the one that is written."""
    file = tmp_path / "algosat.log"
    parts = (LOG[:3], LOG[3:6], LOG[6:])
    for age, name, part in zip(
        (3, 2, 1), ("algosat.log.2.gz", "algosat.log.1", file.name), parts, strict=True
    ):
        content = b"".join(orjson.dumps(each) + b"\n" for each in part)
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    (tmp_path / "other.log").write_text("not ours\n")
    return settings(file)


def found(log: LoggingSettings, **wanted: Any) -> list[int]:
    """Return the numbers of the lines that are found."""
    return [LOG.index(orjson.loads(each)) for each in search(lines_of(log), LogQuery(**wanted))]


def test_lines_of_an_order_include_the_requests_that_changed_it(log: LoggingSettings) -> None:
    assert found(log, order="aone") == [1, 2, 5, 6, 8]
    assert found(log, order="athree") == []


def test_lines_of_a_request_are_those_of_all_processes(log: LoggingSettings) -> None:
    assert found(log, request="place-0001") == [1, 2, 5]


def test_lines_of_a_user_include_what_the_requests_caused(log: LoggingSettings) -> None:
    assert found(log, user="ann") == [0, 1, 2, 5]
    assert found(log, user="bob") == [3, 4]
    assert found(log, user="an") == []


def test_all_conditions_hold_together(log: LoggingSettings) -> None:
    assert found(log, since=NOW + timedelta(minutes=2), user="ann") == [5]
    assert found(log, level="error") == [8, 9]
    assert found(log, limit=2) == [8, 9]
    assert found(log, order="atwo", level="warning") == [7, 8]
    assert found(log, request="place-0001", user="bob") == []


def test_lines_of_the_other_format_are_found_too(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(
        "2026-11-20T09:15:00Z [info     ] order.created    correlation_id=place-0001 order=aone\n"
        "2026-11-20T09:15:01Z [info     ] request          caller=user:ann correlation_id=place-0001\n"
        "2026-11-20T09:15:02Z [warning  ] request          caller=user:bob correlation_id=place-0002\n"
        "cut \xff line\n"
    )
    read = lines_of(settings(tmp_path / "log"))
    assert len(search(read, LogQuery(order="aone"))) == 2
    assert len(search(read, LogQuery(user="bob"))) == 1
    assert len(search(read, LogQuery(level="warning", since=NOW))) == 2  # what has no level is shown


def test_line_that_is_cut_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b'{"event": "x", "corr\n' + orjson.dumps(LOG[0]))
    assert len(search(lines_of(settings(tmp_path / "log")), LogQuery(user="ann"))) == 1


def test_missing_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no log at"):
        search(lines_of(settings(tmp_path / "log")), LogQuery())


def test_log_without_a_file_is_read_from_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = tmp_path / "journalctl"
    journal.write_text(f"#!/bin/sh\necho '{orjson.dumps(LOG[0]).decode()}'\n")
    journal.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert len(search(lines_of(settings(None)), LogQuery(user="ann"))) == 1
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(NotFound, match="no journalctl"):
        search(lines_of(settings(None)), LogQuery())


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("3d", NOW - timedelta(days=3)),
        ("2026-11-20T09:15:00Z", NOW),
        ("2026-11-20 09:15", NOW),
    ],
)
def test_times_are_spans_or_moments(text: str, at: datetime) -> None:
    assert moment(text, NOW) == at


def test_other_times_are_refused_with_an_example() -> None:
    with pytest.raises(InvalidQuery, match="write 90m, 2h, 3d or"):
        moment("yesterday", NOW)
