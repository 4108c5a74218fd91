"""A server to put releases on, of which only the files are real."""

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


class Server:
    """A server whose systemd and releases only write down what they were asked."""

    def __init__(self, root: Path) -> None:
        self.asked: list[str] = []
        self.refuses: dict[str, int] = {}  # part of a command to its exit code
        self.says: dict[str, str] = {}
        self.healthy: Callable[[Release | None], bool] = lambda _: True
        self.active = True
        told = {
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
        (root / "home" / "release.json").write_text(json.dumps(told))
        self.layout: Layout = layout.read(root / "home" / "release.json")

    def has(self, name: str, setting: str = "one") -> Release:
        release = self.layout.release(name)
        release.configuration.mkdir(parents=True)
        for file in CONFIGURATION:
            (release.configuration / file).write_text(f"setting: {setting}\n")
        (release.directory / COMPLETE).touch()
        return release

    def runs(self, name: str) -> Release:
        release = self.has(name)
        switch.switch(self.layout, release)
        self.asked.clear()
        return release

    def configuration(self) -> str:
        return (self.layout.configuration / "algosat.yaml").read_text()

    def attempt(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        line = " ".join(str(it) for it in command)
        self.asked.append(line)
        code = next((code for part, code in self.refuses.items() if part in line), 0)
        said = next((said for part, said in self.says.items() if part in line), "")
        if "systemctl show" in line:
            state = "active" if self.active else "failed"
            said = "\n\n".join(f"Id={it}\nActiveState={state}\nUnitFileState=enabled" for it in UNITS)
        return subprocess.CompletedProcess(line, code, said, f"{line} refused" if code else "")

    def wait(self, here: Layout) -> None:
        if not self.healthy(here.running()):
            raise Failed("not healthy")


def restarted(server: Server) -> list[str]:
    return [it.removeprefix("systemctl restart ") for it in server.asked if "systemctl restart" in it]


def call(server: Server, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    file = str(server.layout.home / "release.json")
    monkeypatch.setattr("sys.argv", ["release", "--layout", file, *arguments])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return command.main()
