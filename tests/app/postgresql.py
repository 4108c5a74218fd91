"""A throw-away PostgreSQL of the distribution: no port, a password of odd characters, gone with the tests."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.engine import URL

from tools.postgresql import programs

# What is lost with the machine is lost with the tests anyway.
_HASTY = ("fsync=off", "full_page_writes=off")
_PASSWORD = "p@ss:w/rd %"
_MINE = "postgres"  # whom the server runs as when root tests: it refuses to be root


@dataclass
class Cluster:
    """Databases by name; each test gets a copy of a template that was made once."""

    socket: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def url(self, name: str) -> str:
        query = {"host": str(self.socket)}
        url = URL.create("postgresql+psycopg", username=_MINE, password=_PASSWORD, database=name, query=query)
        return url.render_as_string(hide_password=False)

    def make(self, name: str, template: str = "template0") -> str:
        self._tell(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return self.url(name)

    @contextmanager
    def copied(self, template: str) -> Iterator[str]:
        """The URL of a database like the template, which nobody may be connected to; gone afterwards."""
        name = f"test_{next(self._numbers)}"
        yield self.make(name, template)
        self._tell(f'DROP DATABASE "{name}" WITH (FORCE)')

    def disconnect(self, url: str) -> None:
        """End every session of a database, as its server's restart would."""
        name = url.split("/")[-1].split("?")[0]
        self._tell(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def _tell(self, statement: str) -> None:
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running one. Raises Trouble where this machine has no PostgreSQL."""
    found = programs()
    base = Path(tempfile.mkdtemp(prefix="algosat-pg-"))  # short: a socket's path has 107 characters at most
    user = _MINE if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(base, user)
    data = base / "data"

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [found / program, "--pgdata", data, *arguments], user=user, cwd=base,
            stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip

    try:
        password = base / "password"
        password.write_text(_PASSWORD)
        asked = (f"--username={_MINE}", "--auth=password", f"--pwfile={password}")
        run("initdb", *asked, "--encoding=UTF8", "--no-locale", "--no-sync")
        options = ["listen_addresses=", f"unix_socket_directories={base}", "max_connections=200", *_HASTY]
        told = " ".join(f"-c {option}" for option in options)
        run("pg_ctl", "--wait", f"--log={base}/log", f"--options={told}", "start")
        try:
            yield Cluster(base)
        finally:
            run("pg_ctl", "--wait", "--mode=immediate", "stop")
    finally:
        shutil.rmtree(base, ignore_errors=True)
