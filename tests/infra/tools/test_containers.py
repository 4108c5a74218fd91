"""Container machines: ports, discovery and inventory variables."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tools import apt_cache, containers, podman, shell, ssh
from tools.containers import Machine, find, free_port, write_variables

INSPECTED = {
    "Config": {"Labels": {"algosat.distro": "debian-13"}},
    "HostConfig": {
        "PortBindings": {
            f"{inside}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(outside)}]
            for inside, outside in ((22, 2222), (80, 8880), (443, 8443))
        }
    },
}


def test_preferred_port_is_used_if_free() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        preferred = probe.getsockname()[1]
    assert free_port(preferred) == preferred


def test_another_port_is_used_if_the_preferred_one_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert free_port(taken.getsockname()[1]) != taken.getsockname()[1]


def test_machine_is_read_from_podman_inspect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman, "answers", lambda *_: True)
    monkeypatch.setattr(podman, "podman", lambda *_: json.dumps([INSPECTED]))
    assert find("some") == Machine("some", "debian-13", 2222, 8880, 8443)


def test_missing_machine_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman, "answers", lambda *_: False)
    assert find("some") is None


def test_container_that_stops_during_its_removal_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    codes = [2, 0]  # podman's exit codes for `rm`

    def attempt(arguments: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(arguments, codes.pop(0) if "rm" in arguments else 1, "", "stopped")

    monkeypatch.setattr(containers, "find", lambda _: Machine("some", "debian-13", 2222, 8880, 8443))
    monkeypatch.setattr(apt_cache, "harvest", lambda *_: None)
    monkeypatch.setattr(ssh, "known_hosts", lambda _: tmp_path / "known_hosts")
    monkeypatch.setattr(podman, "command", lambda: ("podman",))
    monkeypatch.setattr(shell, "attempt", attempt)
    containers.remove("some")
    assert codes == []


def test_written_variables_pin_the_host_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(containers, "gateway", lambda: "10.0.0.1")
    file = tmp_path / "host_vars" / "some.yml"
    write_variables(Machine("some", "debian-13", 2222, 8880, 8443).variables, file)
    written = yaml.safe_load(file.read_text())
    assert written["ansible_port"] == 2222
    assert "StrictHostKeyChecking=yes" in written["ansible_ssh_common_args"]
    assert "known_hosts.some" in written["ansible_ssh_common_args"]
