from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from pathlib import Path

import limits.errors
import pytest
from sqlalchemy.exc import NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from algosat import systemd
from algosat.domain.machine import APPLICATION
from algosat.errors import ConfigurationError, StoreBusy
from algosat.systemd import MACHINE_ID, is_ready, machine_id, notify, restart_may_help


def test_states_are_sent_to_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        notify("READY=1", "STATUS=leading")
        assert systemd.recv(100) == b"READY=1\nSTATUS=leading"


def test_missing_socket_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "missing"))
    notify("WATCHDOG=1")
    assert not (tmp_path / "missing").exists()


def test_process_is_ready_once_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "_ready", threading.Event())
    notify("STATUS=starting")
    assert not is_ready()
    notify("READY=1", "STATUS=leading")
    assert is_ready()


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (OSError(28, "No space left on device"), True),
        (StoreBusy("locked"), True),
        (OperationalError("SELECT 1", None, Exception("connection refused")), True),
        (NoConnection("no free connection"), True),
        (ConfigurationError("database.url"), False),
        (ModuleNotFoundError("No module named 'MySQLdb'"), False),
        (NoSuchModuleError("sqlalchemy.dialects:mysqll"), False),
        (TypeError("unsupported operand"), False),
        (limits.errors.ConfigurationError("unknown storage scheme : redsi+unix"), False),
    ],
)
def test_restart_may_help_against_what_recovers_by_itself(error: Exception, helps: bool) -> None:
    assert restart_may_help(error) is helps


def test_machine_id_is_derived_and_does_not_reveal_the_id_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "machine-id"
    file.write_text("00112233445566778899aabbccddeeff\n")
    assert machine_id(APPLICATION, file) == "a3d5d111deb541b4adcf55c9ea440324"


@pytest.mark.skipif(
    not (shutil.which("systemd-id128") and MACHINE_ID.is_file()), reason="needs systemd and a machine id"
)
def test_machine_id_is_what_systemd_derives() -> None:
    command = ["systemd-id128", "machine-id", f"--app-specific={APPLICATION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(done.stderr)
    assert machine_id(APPLICATION) == done.stdout.strip()


@pytest.mark.parametrize("text", ["", "uninitialized\n", "0" * 32, "0011", "G" * 32, None])
def test_machine_without_an_id_has_none(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "machine-id"
    if text is not None:
        file.write_text(text)
    assert machine_id(APPLICATION, file) is None
