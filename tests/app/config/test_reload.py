from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from algosat.config.live import LiveSettings
from algosat.config.loader import load
from algosat.config.overrides import KEYS, Override
from algosat.config.reload import SettingsDifference, difference
from algosat.config.settings import Settings
from tests.app.builders import algosat_data, security_data, write_configuration

NAMES = {key: ".".join(part for part in key if part) for key in KEYS}


class Process:
    """The live settings of a process, over files that a test edits."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.overrides: list[Override] = []
        self.seconds = 0.0
        self.found: list[SettingsDifference] = []
        self.levels: list[str] = []
        write_configuration(directory, algosat_data(directory))
        read = partial(load, directory)
        self.live = LiveSettings(read(), lambda: list(self.overrides), lambda: self.seconds, read)
        self.live.on_reload(self.found.append)
        self.live.on_change(lambda changed: self.levels.append(changed.algosat.logging.level))

    def edit(self, **differences: Any) -> None:
        write_configuration(self.directory, algosat_data(self.directory, **differences))

    def now(self) -> Settings:
        self.seconds += 2
        return self.live.current


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return Process(tmp_path)


def test_edited_file_changes_nothing_before_a_reload(process: Process) -> None:
    process.edit(logging__level="ERROR")
    assert process.now().algosat.logging.level == "INFO"


def test_reload_takes_over_live_settings_and_names_those_that_need_a_restart(process: Process) -> None:
    process.edit(logging__level="ERROR", api__port=9090, engine__reconcile_seconds=7)
    process.live.reload()
    now = process.now().algosat
    assert (now.logging.level, now.api.port, now.engine.reconcile_seconds) == ("ERROR", 8080, 5)
    assert process.live.files.algosat.logging.level == "ERROR"
    assert process.found == [SettingsDifference(("logging.level",), ("api.port", "engine.reconcile_seconds"))]
    assert process.levels[-1] == "ERROR"
    assert str(process.found[0]) == (
        "reloaded: logging.level; restart to use api.port, engine.reconcile_seconds"
    )


def test_setting_that_needs_a_restart_is_named_by_every_reload_until_then(process: Process) -> None:
    process.edit(api__port=9090)
    for _ in range(2):
        process.live.reload()
        process.now()
    assert process.found == [SettingsDifference((), ("api.port",))] * 2
    assert str(process.found[0]) == "reloaded: nothing to take over; restart to use api.port"


def test_reload_of_unchanged_files_needs_nothing(process: Process) -> None:
    process.live.reload()
    process.now()
    assert process.found == [SettingsDifference((), ())]
    assert not process.found[0]
    assert str(process.found[0]) == "reloaded: nothing to take over"


def test_invalid_files_are_not_taken_over_and_valid_ones_are_later(process: Process) -> None:
    process.edit(logging__level="LOUD", api__order_wait_seconds=3)
    process.live.reload()
    assert process.now().algosat.api.order_wait_seconds == 1
    process.edit(logging__level="ERROR", api__order_wait_seconds=3)
    assert process.now().algosat.logging.level == "INFO"
    process.live.reload()
    assert process.now().algosat.logging.level == "ERROR"


def test_override_has_precedence_over_a_reloaded_file(process: Process) -> None:
    process.overrides = [Override("logging", "level", "DEBUG")]
    process.edit(logging__level="ERROR")
    process.live.reload()
    assert process.now().algosat.logging.level == "DEBUG"
    process.overrides = []
    assert process.now().algosat.logging.level == "ERROR"


def test_settings_without_files_to_read_ignore_a_reload(tmp_path: Path) -> None:
    files = load(write_configuration(tmp_path))
    live = LiveSettings(files, list)
    live.reload()
    assert live.current == files


def test_every_live_setting_is_taken_over_and_no_other(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    before = load(write_configuration(here, algosat_data(here)))
    after = load(
        write_configuration(
            there,
            algosat_data(
                there,
                api__order_wait_seconds=2,
                logging__level="ERROR",
                security__access_token_expire_minutes=31,
                security__refresh_token_expire_days=8,
                security__rate_limit_requests=999,
                security__rate_limit_window=61,
                monitoring__health_check_interval=31,
                monitoring__performance_monitoring=False,
                vps__memory_threshold=84,
                vps__cpu_threshold=89,
                vps__disk_threshold=89,
            ),
            security_data(
                authentication__session_timeout=1801,
                authentication__max_login_attempts=6,
                authentication__lockout_duration=301,
                monitoring__log_failed_attempts=False,
                monitoring__alert_threshold=21,
                monitoring__block_suspicious_ips=False,
            ),
        )
    )
    found = difference(before, after)
    assert set(found.live) == {NAMES[name] for name, key in KEYS.items() if key.is_live}
    assert set(found.needs_restart) == {"runtime_directory", "data_directory", "database.url"}
