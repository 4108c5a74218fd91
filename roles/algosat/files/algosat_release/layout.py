"""Paths of the releases on the server, and the settings that Ansible wrote to release.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = ("algosat.yaml", "security.yaml")
COMPLETE = "complete"  # the last file of an installation
BILL_OF_MATERIALS = "sbom.cdx.json"


@dataclass(frozen=True)
class Release:
    """An installed release: a virtual environment and the configuration for it."""

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
    """Paths, names and limits of this server, from release.json."""

    home: Path
    configuration: Path
    runtime: Path
    user: str
    group: str
    units: tuple[str, ...]  # in the order in which they start
    standby: str  # the unit of a second engine, which leads while the first one restarts
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
        """The services of the release. During their restart the socket unit queues connections."""
        return tuple(unit for unit in self.units if unit.endswith(".service"))

    def release(self, name: str) -> Release:
        return Release(self.home / "releases" / name)

    def current_release(self) -> Release | None:
        """Return the release that the link `current` points to."""
        return self.release(self.current.readlink().name) if self.current.is_symlink() else None

    def installed(self) -> list[Release]:
        """Return every release on the server, the newest first."""
        found = [Release(it.parent) for it in (self.home / "releases").glob(f"*/{COMPLETE}")]
        return sorted(found, key=lambda it: (it.directory / COMPLETE).stat().st_mtime, reverse=True)


def read(file: Path) -> Layout:
    """Read release.json, whose directory is the home of the releases."""
    values = json.loads(file.read_text())
    return Layout(
        home=file.parent,
        configuration=Path(values["configuration"]),
        runtime=Path(values["runtime"]),
        user=values["user"],
        group=values["group"],
        units=tuple(values["units"]),
        standby=values["standby"],
        unit_directory=Path(values["unit_directory"]),
        server_name=values["server_name"],
        ca_file=Path(values["ca_file"]),
        health_wait_seconds=float(values["health_wait_seconds"]),
        kept=int(values["kept"]),
    )
