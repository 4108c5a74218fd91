"""promtool and amtool, which test alert rules and messages. The packages' daemons are not installed."""

import os
import shutil
import tempfile
from pathlib import Path

from tools import locks, shell
from tools.paths import CACHE
from tools.say import Trouble, step

_PROGRAMS = ("promtool", "amtool")
_PACKAGES = ("prometheus", "prometheus-alertmanager")
_BY_HAND = f"sudo apt-get update && (cd /tmp && apt-get download {' '.join(_PACKAGES)})"
_UNPACKED = CACHE / "prometheus"


def programs() -> dict[str, Path]:
    """Return the path of each program: this machine's own, or the one that `ensure` has unpacked.

    Raises:
        Trouble: they are neither installed nor unpacked.
    """
    search = os.pathsep.join((os.environ.get("PATH", ""), str(_UNPACKED / "usr" / "bin")))
    found = {name: shutil.which(name, path=search) for name in _PROGRAMS}
    if None in found.values():
        raise Trouble(f"this machine has no {' and '.join(_PROGRAMS)}", "make unit")
    return {name: Path(path) for name, path in found.items() if path}


def ensure() -> None:
    """Download the packages and unpack them into .cache, unless the programs are there."""
    with locks.exclusive("prometheus"):
        try:
            programs()
        except Trouble:
            _unpack()


def _unpack() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (
        step(f"unpacking {' and '.join(_PROGRAMS)} of this machine's distribution"),
        tempfile.TemporaryDirectory(dir=CACHE) as directory,
    ):
        download = f'cd "{directory}" && apt-get download {" ".join(_PACKAGES)}'
        shell.output(["sh", "-c", download], remedy=_BY_HAND)
        for package in Path(directory).glob("*.deb"):
            shell.output(["dpkg-deb", "--extract", str(package), f"{directory}/unpacked"])
        shutil.rmtree(_UNPACKED, ignore_errors=True)
        (Path(directory) / "unpacked").rename(_UNPACKED)
