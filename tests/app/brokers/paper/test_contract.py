from __future__ import annotations

from collections.abc import Iterator

import pytest

from algosat.brokers.faults.plan import Fault
from tests.app.brokers.contract import Contract
from tests.app.brokers.paper.paper_bench import PaperBench


class TestPaperBroker(Contract):
    @pytest.fixture
    def bench(self) -> Iterator[PaperBench]:
        bench = PaperBench()
        yield bench
        bench.close()


class TestBrokerThatOnlyAcknowledges(Contract):
    @pytest.fixture
    def bench(self) -> Iterator[PaperBench]:
        bench = PaperBench(answers=frozenset({Fault.ACKNOWLEDGED}))
        yield bench
        bench.close()
