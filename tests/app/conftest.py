"""Shared fixtures: a configuration, a store with its schema, the API on that store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from flask import Flask

from algosat.api.context import NAME, Services
from algosat.app import create_app
from algosat.clock import now
from algosat.config.loader import load
from algosat.config.settings import Settings
from algosat.errors import StoreBusy
from algosat.security import users
from algosat.security.principals import Role
from algosat.store import migrate, schema_version
from algosat.store.audit import Cause
from algosat.store.database import Database
from algosat.store.writer import Writer
from algosat.strategies import catalog
from algosat.trading.desk import Desk
from tests.app import fakes, thorough
from tests.app.builders import algosat_data, write_configuration
from tests.app.client import PASSWORD, Client
from tests.app.desks import open_desk
from tests.app.fakes import FakeClock
from tests.app.postgresql import Cluster, cluster
from tests.app.strategies.fakes import Scripted
from tools.say import Trouble

thorough.load_profile()


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> None:
    """Drop all log lines. Tests that read log lines configure logging themselves."""
    structlog.configure(processors=[_drop])


def pytest_addoption(parser: pytest.Parser) -> None:
    stores = ("sqlite", "postgresql")
    parser.addoption("--store", choices=stores, default="sqlite", help="the database that tests use")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests of SQLite when the tests use PostgreSQL."""
    if item.config.getoption("store") == "postgresql" and item.get_closest_marker("sqlite"):
        pytest.skip("tests what only SQLite has")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with its schema, for tests to copy."""
    path = tmp_path_factory.mktemp("store") / "algosat.db"
    _upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def fresh_store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """Return a store with its schema and a user of each role, for tests to copy."""
    path = tmp_path_factory.mktemp("store") / "algosat.db"
    shutil.copy(empty_store, path)
    _add_users(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """Yield a server with the databases `empty` and `fresh`, for tests to copy."""
    try:
        with cluster() as server:
            _upgrade(server.make("empty"))
            _add_users(server.make("fresh", "empty"))
            yield server
    except Trouble as trouble:
        pytest.skip(f"{trouble}: {trouble.remedy}")


@pytest.fixture
def directory(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Yield a configuration directory with a fresh store."""
    if request.config.getoption("store") == "postgresql":
        with request.getfixturevalue("postgresql").copied("fresh") as url:
            yield write_configuration(tmp_path, algosat_data(tmp_path, database__url=url))
    else:
        yield _laid_out(tmp_path, request.getfixturevalue("fresh_store"))


@pytest.fixture
def empty_url(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the URL of an empty store with its schema."""
    if request.config.getoption("store") == "postgresql":
        with request.getfixturevalue("postgresql").copied("empty") as url:
            yield url
    else:
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('empty_store'), tmp_path / 'algosat.db')}"


@pytest.fixture
def database(empty_url: str) -> Iterator[Database]:
    """Yield an empty store with its schema."""
    database = Database(empty_url)
    yield database
    database.close()


@pytest.fixture
def slow_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the store busy for the first two checks of its version."""
    answers = iter([StoreBusy("starting up"), StoreBusy("starting up"), None])

    def answer(_database: Database) -> None:
        if error := next(answers):
            raise error

    monkeypatch.setattr(schema_version, "require_current", answer)


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    writer = Writer(database)
    yield writer
    writer.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, clock) as desk:
        yield desk


@pytest.fixture
def on_postgresql(postgresql: Cluster) -> Iterator[Database]:
    """Yield an empty store with its schema, on PostgreSQL whatever `--store` is."""
    with postgresql.copied("empty") as url:
        database = Database(url)
        yield database
        database.close()


@pytest.fixture
def settings(directory: Path) -> Settings:
    return load(directory)


@pytest.fixture
def app(directory: Path) -> Iterator[Flask]:
    with _running(directory) as app:
        yield app


@pytest.fixture(scope="session")
def shared_app(tmp_path_factory: pytest.TempPathFactory, fresh_store: Path) -> Iterator[Flask]:
    """Yield one application for all tests whose requests change nothing, such as refused requests."""
    with _running(_laid_out(tmp_path_factory.mktemp("shared"), fresh_store)) as app:
        yield app


@pytest.fixture(scope="session")
def fuzzed_app(tmp_path_factory: pytest.TempPathFactory, fresh_store: Path) -> Iterator[Flask]:
    """Yield one application for random requests, which may change anything."""
    with _running(_laid_out(tmp_path_factory.mktemp("fuzzed"), fresh_store)) as app:
        yield app


@pytest.fixture
def services(app: Flask) -> Services:
    found: Services = app.extensions[NAME]
    return found


@pytest.fixture
def anonymous(app: Flask) -> Client:
    """Return a client that has not logged in."""
    return Client(app)


@pytest.fixture
def viewer(app: Flask) -> Client:
    return Client(app).log_in("viewer")


@pytest.fixture
def trader(app: Flask) -> Client:
    return Client(app).log_in("trader")


@pytest.fixture
def admin(app: Flask) -> Client:
    return Client(app).log_in("admin")


def _upgrade(url: str) -> None:
    database = Database(url)
    migrate.upgrade(database)
    database.close()


def _add_users(url: str) -> None:
    hashed, cause = fakes.quick_passwords().hash(PASSWORD), Cause("test", "-")
    database = Database(url)
    with database.engine.begin() as connection:
        for role in Role:
            users.add(connection, role.value, hashed, role, now(), cause)
    database.close()


def _laid_out(directory: Path, store: Path) -> Path:
    write_configuration(directory)
    shutil.copy(store, directory / "data" / "algosat.db")
    return directory


@contextmanager
def _running(directory: Path) -> Iterator[Flask]:
    app = create_app(load(directory), directory, passwords=fakes.quick_passwords())
    yield app
    app.extensions[NAME].close()


def _drop(*_: object) -> str:
    raise structlog.DropEvent


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    """Add the scripted strategy to the catalogue, and return it without calls and script."""
    monkeypatch.setitem(catalog.CLASSES, "scripted", Scripted)
    Scripted.script.clear()
    Scripted.calls.clear()
    return Scripted
