"""A store for the venue."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from algosat.store.database import Database
from algosat.store.writer import Writer


@pytest.fixture
def database(tmp_path: Path, fresh_store: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{shutil.copy(fresh_store, tmp_path / 'algosat.db')}")
    yield database
    database.close()


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    writer = Writer(database)
    yield writer
    writer.close()
