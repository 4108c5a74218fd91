from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from algosat.config.settings import LoggingSettings
from algosat.errors import ConfigurationError
from algosat.monitoring import correlation, logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Restore the logging configuration after each test."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def configured(file: Path | None, **differences: Any) -> None:
    values = {"level": "INFO", "format": "json", "file": file, "max_size": "1M", "backup_count": 1}
    logs.configure(LoggingSettings(**{**values, **differences}), "test")


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_line_is_json_with_the_correlation_id(tmp_path: Path) -> None:
    configured(tmp_path / "log")
    correlation.begin("request-0815")
    structlog.get_logger("ours").info("something", number=1)
    logging.getLogger("theirs").warning("from a %s", "library")
    ours, theirs = lines(tmp_path / "log")
    assert (ours["event"], ours["number"], ours["process"]) == ("something", 1, "test")
    assert theirs["event"] == "from a library"
    assert ours["correlation_id"] == theirs["correlation_id"] == "request-0815"
    assert ours["timestamp"].endswith("Z")


def test_secret_is_masked(tmp_path: Path) -> None:
    configured(tmp_path / "log")
    structlog.get_logger("ours").info("login", password=SecretStr("hunter2"))
    assert "hunter2" not in (tmp_path / "log").read_text()


def test_line_feed_in_a_value_starts_no_new_line(tmp_path: Path) -> None:
    configured(tmp_path / "log")
    structlog.get_logger("ours").info("x", name='a\n{"event":"forged"}')
    assert len(lines(tmp_path / "log")) == 1


def test_traceback_has_no_local_variables(tmp_path: Path) -> None:
    for form in ("json", "text"):
        configured(tmp_path / form, format=form)
        password = "hunter2"
        try:
            raise ValueError(len(password))
        except ValueError:
            structlog.get_logger("ours").exception("broken")
        text = (tmp_path / form).read_text()
        assert "ValueError" in text
        assert "hunter2" not in text


def test_level_can_be_changed_while_running(tmp_path: Path) -> None:
    configured(tmp_path / "log", level="WARNING")
    log = structlog.get_logger("ours")
    log.info("before")
    logs.set_level("INFO")
    log.info("after")
    assert [line["event"] for line in lines(tmp_path / "log")] == ["after"]


def test_rotated_file_is_reopened(tmp_path: Path) -> None:
    configured(tmp_path / "log")
    log = structlog.get_logger("ours")
    log.info("one")
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.info("two")
    assert [line["event"] for line in lines(tmp_path / "log")] == ["two"]


def test_file_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"logging\.file"):
        configured(tmp_path / "nowhere" / "log")
