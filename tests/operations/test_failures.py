"""Failing releases: the old release keeps serving and the cause is reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host

from algosat.store.schema_version import HEAD
from tests.host.load import Load
from tests.operations.controller import Controller

pytestmark = pytest.mark.unit("algosat", "algosat-engine", "algosat-engine-standby")


def does_not_start(copy: Controller) -> None:
    copy.edit(
        "app/algosat/engine/main.py",
        "    algosat = settings.algosat\n",
        '    raise SystemExit("no engine")\n',
    )


def is_unhealthy(copy: Controller) -> None:
    copy.edit("app/algosat/health_checks.py", "Finding(found.is_usable,", "Finding(found is None,")


def migrates_badly(copy: Controller) -> None:
    copy.edit("app/algosat/store/schema_version.py", "HEAD: Final = ", 'HEAD: Final = "9999"  # ')
    migration = copy.root / "app/algosat/store/migrations/versions/9999_bad.py"
    migration.write_text(
        f'from alembic import op\nrevision = "9999"\ndown_revision = "{HEAD}"\n'
        'def upgrade() -> None:\n    op.drop_table("orders")\n    raise RuntimeError("half-way")\n'
    )


def is_configured_badly(copy: Controller) -> None:
    """Set a valid path that does not exist, which only the server can detect."""
    copy.edit("roles/algosat/defaults/main.yml", "/database/algosat.db", "/no-such-directory/algosat.db")


@pytest.mark.parametrize(
    ("break_release", "cause"),
    [
        (does_not_start, "no engine"),
        (is_unhealthy, "not healthy within"),
        (is_configured_badly, "no-such-directory"),
    ],
)
def test_bad_release_fails_no_request(
    host: Host,
    controller: Controller,
    load: Load,
    tmp_path: Path,
    break_release: Callable[[Controller], None],
    cause: str,
) -> None:
    before = host.check_output("readlink /opt/algosat/current")
    copy = controller.copy(tmp_path)
    break_release(copy)
    with load:
        done = copy.attempt("deploy.yml")
    assert done.returncode != 0
    assert cause in done.stdout
    assert host.check_output("readlink /opt/algosat/current") == before
    assert load.failures == []
    assert load.not_filled() == {}


# The halt denies orders; after 5 s without an engine that leads, the API refuses them before that.
REFUSALS = ("halted", "engine_away")


def test_failed_migration_keeps_the_old_release_and_its_store(
    host: Host, controller: Controller, load: Load, tmp_path: Path
) -> None:
    """During the migration orders are denied or refused, because a rollback would lose them.

    An order that was placed just before and not sent yet is rejected for the same reason.
    """
    before = host.check_output("readlink /opt/algosat/current")
    copy = controller.copy(tmp_path)
    migrates_badly(copy)
    with load:
        done = copy.attempt("deploy.yml")
    assert done.returncode != 0
    assert "half-way" in done.stdout
    assert host.check_output("readlink /opt/algosat/current") == before
    assert [it for it in load.failures if not any(f'"code":"{code}"' in it for code in REFUSALS)] == []
    assert host.run("algosat store verify").rc == 0
    assert host.check_output("algosat risk status").startswith("trading")
    assert set(load.not_filled().values()) <= {"halted_before_sending"}
