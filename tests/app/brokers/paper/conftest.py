"""A paper broker on a real store, with a market that does not move by itself."""

from __future__ import annotations

import pytest

from algosat.brokers.paper.broker import PaperBroker
from algosat.store.writer import Writer
from tests.app.brokers.paper.paper_brokers import broker_on


@pytest.fixture
def broker(writer: Writer) -> PaperBroker:
    return broker_on(writer)
