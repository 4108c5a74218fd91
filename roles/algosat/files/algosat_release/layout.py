"""Where everything lies, and what this server was told about its releases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = ("algosat.yaml", "security.yaml")
COMPLETE = "complete"  # the last file of an installation


@dataclass(frozen=True)
class Release:
    """One installed release: a virtual environment, and the configuration it is to run with."""

    directory: Path

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def program(self) -> Path:
        return self.directory / "bin" / "algosat"

    @property
    def configuration(self) -> Path:
        return self.directory / "etc"

    @property
    def is_complete(self) -> bool:
        return (self.directory / COMPLETE).exists()


@dataclass(frozen=True)
class Layout:
    """The server's paths and names, as Ansible wrote them to release.json."""

    home: Path
    configuration: Path
    runtime: Path
    user: str
    group: str
    units: tuple[str, ...]  # in the order in which they start
    standby: str  # a second engine, for the moments in which the first one restarts
    unit_directory: Path
    server_name: str
    ca_file: Path
    health_wait_seconds: float
    kept: int

    @property
    def current(self) -> Path:
        return self.home / "current"

    @property
    def history(self) -> Path:
        return self.home / "releases.log"

    @property
    def state(self) -> Path:
        return self.home / "deployed.json"

    @property
    def services(self) -> tuple[str, ...]:
        """The units that run the release; a socket outlives them and keeps clients waiting."""
        return tuple(unit for unit in self.units if unit.endswith(".service"))

    def release(self, name: str) -> Release:
        return Release(self.home / "releases" / name)

    def running(self) -> Release | None:
        """The release that `current` points to."""
        return self.release(self.current.readlink().name) if self.current.is_symlink() else None

    def installed(self) -> list[Release]:
        """Every release on the server, the newest first."""
        found = [Release(it.parent) for it in (self.home / "releases").glob(f"*/{COMPLETE}")]
        return sorted(found, key=lambda it: (it.directory / COMPLETE).stat().st_mtime, reverse=True)


def read(file: Path) -> Layout:
    told = json.loads(file.read_text())
    return Layout(
        home=file.parent,
        configuration=Path(told["configuration"]),
        runtime=Path(told["runtime"]),
        user=told["user"],
        group=told["group"],
        units=tuple(told["units"]),
        standby=told["standby"],
        unit_directory=Path(told["unit_directory"]),
        server_name=told["server_name"],
        ca_file=Path(told["ca_file"]),
        health_wait_seconds=float(told["health_wait_seconds"]),
        kept=int(told["kept"]),
    )
