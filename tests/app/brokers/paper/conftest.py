"""A store for the venue, and a broker on it whose market stands still."""

from __future__ import annotations

import pytest

from algosat.brokers.paper.broker import PaperBroker
from algosat.store.writer import Writer
from tests.app.brokers.paper.paper_brokers import broker_on


@pytest.fixture
def broker(writer: Writer) -> PaperBroker:
    return broker_on(writer)
