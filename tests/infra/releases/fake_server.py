"""Fake server for releases: real files, and commands that are only recorded."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from algosat_release import __main__ as command
from algosat_release import layout, switch
from algosat_release.layout import COMPLETE, CONFIGURATION, Layout, Release
from algosat_release.machine import Failed

UNITS = ("algosat.socket", "algosat-engine.service", "algosat.service")
STANDBY = "algosat-engine-standby.service"


class FakeServer:
    """Server that records the commands of systemd and of releases and returns prepared results."""

    def __init__(self, root: Path) -> None:
        self.commands: list[str] = []
        self.failures: dict[str, int] = {}  # part of a command to its exit status
        # Part of a command to its output.
        self.outputs: dict[str, str] = {"config changes": "restart\tapi.port\n"}
        self.healthy: Callable[[Release | None], bool] = lambda _: True
        self.active = True
        settings = {
            "configuration": str(root / "etc"),
            "runtime": str(root / "run"),
            "user": "algosat",
            "group": "algosat",
            "units": UNITS,
            "standby": STANDBY,
            "unit_directory": str(root / "systemd"),
            "server_name": "trade.example.com",
            "ca_file": str(root / "ca.pem"),
            "health_wait_seconds": 1,
            "kept": 2,
        }
        for name in ("home/releases", "etc", "run", "systemd"):
            (root / name).mkdir(parents=True)
        for unit in UNITS:
            (root / "systemd" / unit).write_text(f"# {unit}\n")
        (root / "home" / "release.json").write_text(json.dumps(settings))
        self.layout: Layout = layout.read(root / "home" / "release.json")

    def install(self, name: str, setting: str = "one") -> Release:
        release = self.layout.release(name)
        release.configuration.mkdir(parents=True)
        for file in CONFIGURATION:
            (release.configuration / file).write_text(f"setting: {setting}\n")
        (release.directory / COMPLETE).touch()
        return release

    def activate(self, name: str) -> Release:
        release = self.install(name)
        switch.switch(self.layout, release)
        self.commands.clear()
        return release

    def configuration(self) -> str:
        return (self.layout.configuration / "algosat.yaml").read_text()

    def attempt(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        line = " ".join(str(it) for it in command)
        self.commands.append(line)
        code = next((code for part, code in self.failures.items() if part in line), 0)
        output = next((text for part, text in self.outputs.items() if part in line), "")
        if "systemctl show" in line:
            state = "active" if self.active else "failed"
            output = "\n\n".join(f"Id={it}\nActiveState={state}\nUnitFileState=enabled" for it in UNITS)
        return subprocess.CompletedProcess(line, code, output, f"{line} refused" if code else "")

    def wait(self, here: Layout) -> None:
        if not self.healthy(here.current_release()):
            raise Failed("not healthy")


def restarted(server: FakeServer) -> list[str]:
    return [it.removeprefix("systemctl restart ") for it in server.commands if "systemctl restart" in it]


def call(server: FakeServer, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    file = str(server.layout.home / "release.json")
    monkeypatch.setattr("sys.argv", ["release", "--layout", file, *arguments])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return command.main()
