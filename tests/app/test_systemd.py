from __future__ import annotations

import socket
from pathlib import Path

import pytest

from algosat.systemd import notify


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
