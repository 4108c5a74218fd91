"""Dump and restore of a store on PostgreSQL, with the distribution's pg_dump and pg_restore."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Final

from sqlalchemy import create_engine
from sqlalchemy.engine import URL

from algosat.errors import ConfigurationError, StoreBusy, StoreDamaged
from algosat.store.database import Database
from algosat.store.migrate import upgrade
from algosat.store.schema_version import HEAD_TABLE, OLDEST_TABLE, SchemaVersions

_MAGIC: Final = b"PGDMP"
_EMPTY: Final = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
# pg_restore from version 17 on writes this setting into every script. Older servers do not know it.
_NEW_SETTING: Final = b"SET transaction_timeout = 0;"
_UNLIMITED: Final = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'"
_PREAMBLE_BYTES: Final = 4096
_PORTABLE: Final = ("--no-owner", "--no-privileges")


def is_dump(file: Path) -> bool:
    """Whether the file is a dump in pg_dump's custom format."""
    with file.open("rb") as opened:
        return opened.read(len(_MAGIC)) == _MAGIC


def take(database: Database, target: Path) -> None:
    """Dump the store to a file, as of one moment. Other processes keep working."""
    _run(
        "pg_dump", "--format=custom", *_PORTABLE, f"--file={target}", *_dbname(database.url), url=database.url
    )


def versions(dump: Path) -> SchemaVersions | None:
    """Return the schema versions of a dump; None if the dump is not of an Algosat store.

    Reads the whole dump. Raises StoreDamaged if any of it cannot be read.
    """
    try:
        _run("pg_restore", "--file=/dev/null", str(dump))
        head, oldest = _version_in(dump, HEAD_TABLE), _version_in(dump, OLDEST_TABLE)
    except StoreBusy as error:
        raise StoreDamaged(f"{dump} is damaged: {error.detail}") from error
    return None if oldest is None else SchemaVersions(head or oldest, oldest)


def _version_in(dump: Path, table: str) -> str | None:
    output = _run("pg_restore", "--data-only", f"--table={table}", "--file=-", str(dump))
    _, _, rows = output.partition("FROM stdin;\n")
    return rows.split("\n", 1)[0] if rows and not rows.startswith("\\.") else None


def restore(database: Database, dump: Path) -> None:
    """Replace the store by the dump, in one transaction. API and engine must be stopped."""
    _load(database.url, dump, dump.with_name(dump.name + ".sql"))


@contextmanager
def opened(database: Database, dump: Path) -> Iterator[Database]:
    """Open the dump in a temporary database on the same server, upgraded to this release's schema version."""
    name = f"algosat_opened_{token_hex(6)}"
    url = database.url.set(database=name)
    _execute(database.url, f"CREATE DATABASE {name}")
    try:
        _load(url, dump, dump.with_name(dump.name + ".sql"))
        with closing(Database(url.render_as_string(hide_password=False))) as copy:
            upgrade(copy)
            yield copy
    finally:
        _execute(database.url, f"DROP DATABASE {name}")


def _load(url: URL, dump: Path, script: Path) -> None:
    # Restored through a script: pg_restore alone would keep tables that are not in the dump.
    try:
        _run("pg_restore", *_PORTABLE, "--schema=public", f"--file={script}", str(dump))
        _comment_out_new_setting(script)
        options = ("--quiet", "--no-psqlrc", "--single-transaction", "--set=ON_ERROR_STOP=1")
        commands = (f"--command={_UNLIMITED}", f"--command={_EMPTY}", f"--file={script}")
        _run("psql", *options, *commands, *_dbname(url), url=url)
    finally:
        script.unlink(missing_ok=True)


def _comment_out_new_setting(script: Path) -> None:
    """Turn the setting into a comment, in place: the script is as large as the store."""
    with script.open("r+b") as opened:
        at = opened.read(_PREAMBLE_BYTES).find(_NEW_SETTING)
        if at >= 0:
            opened.seek(at)
            opened.write(b"---")


def _execute(url: URL, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def _dbname(url: URL) -> tuple[str]:
    """Return the --dbname option, without the password: all users can read command lines."""
    plain = url.set(drivername="postgresql")._replace(password=None)  # `set` takes None as "unchanged"
    return (f"--dbname={plain.render_as_string()}",)


def _run(program: str, *arguments: str, url: URL | None = None) -> str:
    found = shutil.which(program)
    if found is None:
        raise ConfigurationError(f"{program} is missing: apt install postgresql-client")
    secret = {"PGPASSWORD": str(url.password)} if url is not None and url.password else {}
    done = subprocess.run(  # noqa: S603 - the distribution's own programs
        [found, *arguments], env={**os.environ, **secret}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StoreBusy(f"{program} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
