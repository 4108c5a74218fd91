"""backup.sh and restore.sh with a real store and program, and fake services."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Connection

from algosat.clock import now
from algosat.domain.machine import APPLICATION, Machine
from algosat.security import sessions, users
from algosat.security.keyring import Keyring
from algosat.security.principals import Role
from algosat.security.sessions import Session
from algosat.store import audit, machines
from algosat.store.audit import Cause
from algosat.store.database import Database
from algosat.store.writer import Writer
from algosat.systemd import machine_id
from tests.app.builders import FERNET_KEY, SECRET_KEY, algosat_data, write_configuration
from tests.infra.rendering import server
from tools.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="restore.sh needs root")]

Run = Callable[..., str]
ARCHIVES = "daily+weekly"
SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>{place}/commands
case $* in *stop*) test ! -e {place}/stuck ;; esac
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs a program of the fake server and returns its output."""
    places = {name: tmp_path / name for name in ("home", "data", "etc", "log", "run", "bin")}
    places["backups"] = tmp_path / ARCHIVES
    for place in (
        *places.values(),
        places["data"] / "database",
        places["data"] / "security",
        places["home"] / "bin",
    ):
        place.mkdir()
    store = f"sqlite:///{places['data']}/database/algosat.db"
    directories = {"runtime_directory": str(places["run"]), "data_directory": str(places["data"])}
    write_configuration(places["etc"], algosat_data(tmp_path, database__url=store, **directories))
    variables = {
        "algosat_user": "root",
        "algosat_group": "root",
        "algosat_home": str(places["home"]),
        "algosat_data_directory": str(places["data"]),
        "algosat_config_directory": str(places["etc"]),
        "algosat_log_directory": str(places["log"]),
        "algosat_runtime_directory": str(places["run"]),
        "backup_directory": str(places["backups"]),
        "backup_min_free_mib": 1,
        "backup_keep": 1,
    }
    for name in ("backup.sh", "restore.sh"):
        template = ROOT / "templates" / "opt" / "algosat" / "bin" / f"{name}.j2"
        executable(places["home"] / "bin" / name, server("staging").render(template, **variables))
    release = places["home"] / "releases" / "1.0-a"
    (release / "bin").mkdir(parents=True)
    executable(release / "bin" / "algosat", f'#!/bin/sh\nexec {Path(sys.executable).parent}/algosat "$@"\n')
    (places["home"] / "current").symlink_to(release)
    executable(places["bin"] / "curl", "#!/bin/sh\n")
    executable(places["bin"] / "systemctl", SYSTEMCTL.format(place=tmp_path))

    def run(program: str, *arguments: str, text: str = "") -> str:
        directories = {
            "algosat": release / "bin",
            "backup.sh": places["home"] / "bin",
            "restore.sh": places["home"] / "bin",
        }
        environment = {
            "PATH": f"{places['bin']}:{os.environ['PATH']}",
            "ALGOSAT_CONFIG_DIR": str(places["etc"]),
        }
        done = subprocess.run(
            [directories[program] / program, *arguments],
            env=environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("algosat", "db", "upgrade")
    return run


def executable(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def test_restore_recovers_the_backup_without_its_keys_and_keeps_trading_halted(
    run: Run, tmp_path: Path
) -> None:
    trail, needed = tmp_path / "data" / "security" / "trail", Keyring([SecretStr(FERNET_KEY)]).fingerprint()
    trail.write_text("before")
    add_open_session(tmp_path)
    run("algosat", "credentials", "set", "--stdin", text='{"api_key": "canary-of-the-broker"}')
    archive = run("backup.sh").strip()
    assert f"keys={needed}\n".encode() in files_without_secrets(archive)["MANIFEST"]

    trail.write_text("after")
    run("algosat", "risk", "halt", "--reason", "odd prices")
    etc = {name: tmp_path / "etc" / f"{name}.yaml" for name in ("algosat", "security")}
    key = Fernet.generate_key().decode()
    etc["security"].write_text(etc["security"].read_text().replace(FERNET_KEY, key))
    etc["algosat"].write_text(etc["algosat"].read_text().replace("level: ", "level: ERROR #"))

    printed = run("restore.sh", "--yes", "--with-configuration", archive)
    assert f"restored from {archive}" in printed
    assert f"1 secrets need the key {needed}" in printed
    assert trail.read_text() == "before"
    assert open_sessions(tmp_path) == 0
    assert "ERROR" not in etc["algosat"].read_text()
    assert SECRET_KEY in etc["algosat"].read_text()
    assert key in etc["security"].read_text()
    status = run("algosat", "risk", "status")
    assert "trading was halted when a backup was restored" in status
    assert "odd prices" not in status  # the store is the one from before the halt


def add_open_session(place: Path) -> None:
    """Add a user, and a session as a login opens it."""
    at, cause = now(), Cause("test", "-")
    data = {"address": "192.0.2.7", "session": "a-session"}

    def log_in(connection: Connection) -> None:
        user = users.add(connection, "ann", "hash", Role.TRADER, at, cause)
        until = at + timedelta(days=1)
        session = Session("a-session", user.id, "", at, at, until, None, "192.0.2.7", "test")
        sessions.add(connection, session)
        audit.append(connection, at, "security.login", "ann", cause, data)

    with closing(store_in(place)) as database, closing(Writer(database)) as writer:
        writer.run(log_in)
    assert open_sessions(place) == 1


def open_sessions(place: Path) -> int:
    with closing(store_in(place)) as database, database.read() as connection:
        return len(sessions.alive(connection, 1, now()))


def store_in(place: Path) -> Database:
    return Database(f"sqlite:///{place}/data/database/algosat.db")


def files_without_secrets(archive: str) -> dict[str, bytes]:
    """Return the files of an archive by their names, and check that no secret is in them."""
    with tarfile.open(archive) as tar:
        entries = [(Path(it.name).name, tar.extractfile(it)) for it in tar if it.isfile()]
        files = {name: entry.read() for name, entry in entries if entry is not None}
    secrets = (SECRET_KEY, FERNET_KEY, "canary-of-the-broker")
    assert [name for name, text in files.items() if any(it.encode() in text for it in secrets)] == []
    return files


@pytest.mark.parametrize("elsewhere", [False, True])
def test_restore_on_another_machine_names_the_command_that_adopts_the_store(
    elsewhere: bool, run: Run, tmp_path: Path
) -> None:
    this = machine_id(APPLICATION)
    if this is None:
        pytest.skip("this machine has no id")
    owner = Machine("ab" * 16 if elsewhere else this, "elsewhere")
    database = store_in(tmp_path)
    with closing(database), closing(Writer(database)) as writer:
        writer.run(lambda connection: machines.write_owner(connection, owner, now(), "test"))
    printed = run("restore.sh", "--yes", run("backup.sh").strip())
    assert ("sudo algosat engine adopt" in printed) is elsewhere


def test_archive_dated_in_the_future_is_not_the_latest(run: Run, tmp_path: Path) -> None:
    archive = Path(run("backup.sh").strip())
    shutil.copy(archive, tmp_path / ARCHIVES / "algosat-20990101T000000Z.tar.gz")
    assert f"can be restored: {archive}" in run("restore.sh", "--check", "latest")


def test_surplus_archives_are_removed(run: Run, tmp_path: Path) -> None:
    run("backup.sh")
    second = Path(run("backup.sh").strip())
    assert list((tmp_path / ARCHIVES).glob("*.tar.gz")) == [second]


def test_restore_changes_nothing_if_the_services_do_not_stop(run: Run, tmp_path: Path) -> None:
    archive = run("backup.sh").strip()
    (tmp_path / "data" / "security" / "trail").write_text("after")
    (tmp_path / "stuck").touch()
    with pytest.raises(AssertionError, match="could not stop the services; putting the old state back"):
        run("restore.sh", "--yes", archive)
    assert (tmp_path / "commands").read_text().splitlines()[-1].startswith("start algosat-strategies.service")
    assert (tmp_path / "data" / "security" / "trail").read_text() == "after"
    assert not (tmp_path / "data" / ".before-restore").exists()
