"""The store during a switch: check its schema version, migrate it, restore it after a failure.

Trading is halted from before the backup until the new release is healthy. No order is accepted in between
that a restoration of the backup would lose. Reconciliation finds what the broker did meanwhile. The backup is
restored only if the previous release cannot run on the migrated store.
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
CURRENT, BEHIND, NEWER = 0, 3, 4  # exit codes of `algosat db current`
RELEASE_HALT = re.compile(r"^all\t.*\trelease \S+ is being proven$", re.MULTILINE)


def algosat(layout: Layout, release: Release, *arguments: str) -> str:
    """Run the release's program with the release's own configuration. Raises Failed if it fails."""
    return run(_command(layout, release, release.configuration, arguments))


def ask(layout: Layout, release: Release, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the release's program with the release's own configuration. Any exit code is accepted."""
    return attempt(_command(layout, release, release.configuration, arguments))


def ask_current(layout: Layout, current: Release, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the current release's program with the configuration in /etc. Any exit code is accepted.

    The release's own copy may already be the configuration for its next start.
    """
    return attempt(_command(layout, current, layout.configuration, arguments))


def run_current(layout: Layout, current: Release, *arguments: str) -> str:
    """Run the current release's program with the configuration in /etc. Raises Failed if it fails."""
    return run(_command(layout, current, layout.configuration, arguments))


def must_migrate(layout: Layout, release: Release) -> bool:
    """Return True if the store's schema version is older than the release's.

    Raises Refused if a newer release has removed from the store what the release uses. A store that a newer
    release has only extended is accepted.
    """
    answer = ask(layout, release, "db", "current")
    if answer.returncode == NEWER:
        version = answer.stdout.split()[0]
        raise Refused(
            f"the store has schema version {version}, on which {release.name} cannot run; restore an archive"
            " from before the migration (restore.sh), or deploy a newer release"
        )
    if answer.returncode not in (CURRENT, BEHIND):
        raise Failed(f"the store's schema version cannot be read:\n{tail(answer)}")
    return answer.returncode == BEHIND


def fits(layout: Layout, release: Release) -> bool:
    """Return True if the release can run on the store as it is. Without a clear answer it cannot."""
    return ask(layout, release, "db", "current").returncode == CURRENT


def require_store(layout: Layout) -> None:
    """Raise Refused if there is a current release but its store is empty: a new one has no positions."""
    current = layout.current_release()
    if current and ask_current(layout, current, "db", "current").stdout.split()[:1] == ["none"]:
        raise Refused(
            f"{current.name} is current, but its store is empty: restore a backup (playbooks/restore.yml),"
            " or, to begin with an empty store, run `sudo algosat db upgrade`"
        )


def migrate(layout: Layout, release: Release) -> None:
    """Migrate the store to the release's schema version, in one transaction."""
    algosat(layout, release, "db", "upgrade")


@contextmanager
def trading_halted(layout: Layout, release: Release | None, candidate: str) -> Iterator[None]:
    """Halt trading until the candidate is healthy. Working orders stay; a halt of somebody else stays too."""
    if release is None:
        yield
        return
    status = run_current(layout, release, "risk", "status")
    if status.startswith("halted") and not RELEASE_HALT.search(status):
        yield
        return
    # The words of RELEASE_HALT, by which a later switch recognizes a halt of this program.
    reason = f"release {candidate} is being proven"
    run_current(layout, release, "risk", "halt", "--no-cancel", "--reason", reason)
    try:
        yield
    finally:
        _resume(layout, layout.current_release() or release)


def resume_after_interruption(layout: Layout, release: Release) -> None:
    """End the halt that an interrupted switch has left."""
    if RELEASE_HALT.search(ask_current(layout, release, "risk", "status").stdout):
        _resume(layout, release)


def _resume(layout: Layout, release: Release) -> None:
    status = ask_current(layout, release, "risk", "status")
    halts = [line for line in status.stdout.splitlines() if line.startswith("all\t")]
    if halts and not RELEASE_HALT.search(halts[0]):
        print(f"trading stays halted, because somebody halted it meanwhile: {halts[0]}", file=sys.stderr)
        return
    resumed = ask_current(layout, release, "risk", "resume")
    if resumed.returncode != 0:
        print(f"trading is still halted; run: algosat risk resume\n{tail(resumed)}", file=sys.stderr)


@contextmanager
def services_stopped(layout: Layout) -> Iterator[None]:
    """Stop the services and hold the lock that delays their next start. Clients wait in the socket."""
    with open(layout.runtime / "changeover.lock", "a", opener=_no_link) as handle:
        shutil.chown(handle.fileno(), layout.user, layout.group)
        fcntl.flock(handle, fcntl.LOCK_EX)
        # An interrupted switch may have left a standby engine.
        systemctl("stop", layout.standby, *layout.services)
        yield


def _no_link(path: str, flags: int) -> int:
    """Open the file, but no symlink: the services own the directory and could direct root to another file."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o640)


def back_up(layout: Layout, label: str) -> Path:
    """Make a backup now and return its archive."""
    output = run([layout.home / "bin" / "backup.sh", "--label", label])
    return Path(output.strip().splitlines()[-1])


def restore(layout: Layout, release: Release, archive: Path) -> None:
    """Restore the release's store from the archive."""
    # On disk, not in memory or in /tmp, which may be in memory: a store can be larger than that.
    with tempfile.TemporaryDirectory(prefix=".store-", dir=layout.home) as work:
        snapshot = Path(work) / "algosat.db"
        with tarfile.open(archive) as tar:
            member = next((it for it in tar if it.name.endswith(f"/{SNAPSHOT}")), None)
            content = tar.extractfile(member) if member else None
            if content is None:
                raise Failed(f"{archive} contains no store")
            with snapshot.open("wb") as file:
                shutil.copyfileobj(content, file)
        shutil.chown(snapshot, layout.user, layout.group)
        shutil.chown(work, layout.user, layout.group)  # last: from here on its owner could put symlinks there
        algosat(layout, release, "store", "restore", str(snapshot))


def _command(
    layout: Layout, release: Release, configuration: Path, arguments: Sequence[str]
) -> list[str | Path]:
    return as_service(layout, "env", f"ALGOSAT_CONFIG_DIR={configuration}", release.program, *arguments)
