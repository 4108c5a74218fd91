"""A temporary PostgreSQL server on a socket, with special characters in its password."""

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

# A crash of the machine may lose the data: the tests are lost then too.
_NO_SYNC = ("fsync=off", "full_page_writes=off")
_PASSWORD = "p@ss:w/rd %"
_SUPERUSER = "postgres"  # also the system user if root runs the tests: PostgreSQL refuses to run as root


@dataclass
class Cluster:
    """The databases of a server. Each test gets a copy of a template database."""

    socket: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        # One connection for all statements: connecting takes as long as copying a database.
        self._engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", pool_size=1)

    def url(self, name: str) -> str:
        query = {"host": str(self.socket)}
        url = URL.create(
            "postgresql+psycopg", username=_SUPERUSER, password=_PASSWORD, database=name, query=query
        )
        return url.render_as_string(hide_password=False)

    def make(self, name: str, template: str = "template0") -> str:
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return self.url(name)

    @contextmanager
    def copied(self, template: str) -> Iterator[str]:
        """Yield the URL of a copy of the template and drop it afterwards. The template must be unused."""
        name = f"test_{next(self._numbers)}"
        yield self.make(name, template)
        self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def disconnect(self, url: str) -> None:
        """End every session of a database, as a restart of the server does."""
        name = url.split("/")[-1].split("?")[0]
        self._execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def _execute(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a server and stop it afterwards. Raises Trouble if PostgreSQL is not installed."""
    found = programs()
    base = Path(tempfile.mkdtemp(prefix="algosat-pg-"))  # a socket's path has at most 107 characters
    user = _SUPERUSER if os.geteuid() == 0 else None
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
        login = (f"--username={_SUPERUSER}", "--auth=password", f"--pwfile={password}")
        run("initdb", *login, "--encoding=UTF8", "--no-locale", "--no-sync")
        options = ["listen_addresses=", f"unix_socket_directories={base}", "max_connections=200", *_NO_SYNC]
        joined = " ".join(f"-c {option}" for option in options)
        run("pg_ctl", "--wait", f"--log={base}/log", f"--options={joined}", "start")
        try:
            server = Cluster(base)
            yield server
            server.close()
        finally:
            run("pg_ctl", "--wait", "--mode=immediate", "stop")
    finally:
        shutil.rmtree(base, ignore_errors=True)
