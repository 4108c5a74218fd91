"""The store on a release's way: is there something to migrate, do it, and take it back.

Trading is halted from before the copy is made until the release has proven itself. So nothing can
be accepted in between that going back to the copy would lose; what a broker does meanwhile is found
again by reconciliation.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from algosat_release.layout import Layout, Release
from algosat_release.machine import Failed, Refused, as_service, attempt, run, systemctl, tail

SNAPSHOT = "database/algosat.db"
CURRENT, BEHIND, NEWER = 0, 3, 4  # how `algosat db current` ends
A_RELEASES_HALT = re.compile(r"^all\t.*\trelease \S+ is being proven$", re.MULTILINE)


def algosat(layout: Layout, release: Release, *arguments: str) -> str:
    """Run the release's own program on its own configuration."""
    return run(_command(layout, release, release.configuration, arguments))


def ask(layout: Layout, release: Release, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same, and hand back whatever became of it."""
    return attempt(_command(layout, release, release.configuration, arguments))


def ask_running(layout: Layout, running: Release, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask the release in force with what is in force: its own files may be those it is to run with next."""
    return attempt(_command(layout, running, layout.configuration, arguments))


def tell_running(layout: Layout, running: Release, *arguments: str) -> str:
    """The same, and it must end well."""
    return run(_command(layout, running, layout.configuration, arguments))


def must_migrate(layout: Layout, release: Release) -> bool:
    """Whether the store is at an older schema version than the release works with.

    Raises Refused when it is at one that the release does not know.
    """
    answer = ask(layout, release, "db", "current")
    if answer.returncode == NEWER:
        version = answer.stdout.split()[0]
        raise Refused(
            f"the store is at schema version {version}, which {release.name} does not know; restore an"
            " archive from before the migration (restore.sh), or deploy a newer release"
        )
    if answer.returncode not in (CURRENT, BEHIND):
        raise Failed(f"the store's schema version cannot be read:\n{tail(answer)}")
    return answer.returncode == BEHIND


def require_there(layout: Layout) -> None:
    """Raises Refused when a release is in force whose store is gone: an empty one knows of no position."""
    running = layout.running()
    if running and ask_running(layout, running, "db", "current").stdout.split()[:1] == ["none"]:
        raise Refused(
            f"{running.name} is in force, but its store is empty: put a backup back (playbooks/restore.yml),"
            " or, to begin with nothing, run `sudo algosat db upgrade`"
        )


def migrate(layout: Layout, release: Release) -> None:
    """Bring the store to the release's schema version; one transaction, so all of it or nothing."""
    algosat(layout, release, "db", "upgrade")


@contextmanager
def trading_halted(layout: Layout, release: Release | None, proven: str) -> Iterator[None]:
    """Accept no new orders while a release is proven; leave working ones alone, and anybody else's halt."""
    if release is None:
        yield
        return
    status = tell_running(layout, release, "risk", "status")
    if status.startswith("halted") and not A_RELEASES_HALT.search(status):
        yield
        return
    reason = f"release {proven} is being proven"
    tell_running(layout, release, "risk", "halt", "--no-cancel", "--reason", reason)
    try:
        yield
    finally:
        _resume(layout, layout.running() or release)


def resume_what_was_cut_off(layout: Layout, release: Release) -> None:
    """End the halt of a switch that was cut off before its release, or a later one, had proven itself."""
    if A_RELEASES_HALT.search(ask_running(layout, release, "risk", "status").stdout):
        _resume(layout, release)


def _resume(layout: Layout, release: Release) -> None:
    status = ask_running(layout, release, "risk", "status")
    halts = [line for line in status.stdout.splitlines() if line.startswith("all\t")]
    if halts and not A_RELEASES_HALT.search(halts[0]):
        print(f"trading stays halted, as somebody has asked for meanwhile: {halts[0]}", file=sys.stderr)
        return
    resumed = ask_running(layout, release, "risk", "resume")
    if resumed.returncode != 0:
        print(f"trading is still halted; run: algosat risk resume\n{tail(resumed)}", file=sys.stderr)


@contextmanager
def services_held(layout: Layout) -> Iterator[None]:
    """Stop the services, and let those that are woken meanwhile wait: their clients wait in the socket."""
    with open(layout.runtime / "changeover.lock", "a", opener=_no_link) as handle:
        shutil.chown(handle.fileno(), layout.user, layout.group)
        fcntl.flock(handle, fcntl.LOCK_EX)
        # A switch that was cut off may have left a second engine.
        systemctl("stop", layout.standby, *layout.services)
        yield


def _no_link(path: str, flags: int) -> int:
    """Its directory is the services': a link there could lead root to a file that is nobody's business."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o640)


def back_up(layout: Layout, label: str) -> Path:
    """The archive of a backup made now."""
    made = run([layout.home / "bin" / "backup.sh", "--label", label])
    return Path(made.strip().splitlines()[-1])


def put_back(layout: Layout, release: Release, archive: Path) -> None:
    """Give the release the store again that the archive holds."""
    # Neither in memory nor in /tmp, which may be memory: a store can be larger than that.
    with tempfile.TemporaryDirectory(prefix=".store-", dir=layout.home) as work:
        snapshot = Path(work) / "algosat.db"
        with tarfile.open(archive) as tar:
            member = next((it for it in tar if it.name.endswith(f"/{SNAPSHOT}")), None)
            content = tar.extractfile(member) if member else None
            if content is None:
                raise Failed(f"{archive} holds no store")
            with snapshot.open("wb") as file:
                shutil.copyfileobj(content, file)
        shutil.chown(snapshot, layout.user, layout.group)
        shutil.chown(work, layout.user, layout.group)  # last: from here on its owner may put links there
        algosat(layout, release, "store", "restore", str(snapshot))


def _command(
    layout: Layout, release: Release, configuration: Path, arguments: Sequence[str]
) -> list[str | Path]:
    return as_service(layout, "env", f"ALGOSAT_CONFIG_DIR={configuration}", release.program, *arguments)
