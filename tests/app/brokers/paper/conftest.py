"""A store for the venue, and a broker on it whose market stands still."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from algosat.brokers.paper.broker import PaperBroker
from algosat.store.database import Database
from algosat.store.writer import Writer

from .lives import broker_on


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


@pytest.fixture
def broker(writer: Writer) -> PaperBroker:
    return broker_on(writer)
