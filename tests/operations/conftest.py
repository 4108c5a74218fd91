"""A server in its years of work. The tests run playbooks against the machines of a molecule scenario, in the
order in which they are written, and watch from outside.

ALGOSAT_INVENTORY names the inventory; ALGOSAT_ADMIN_PASSWORD_FILE the file with the admin's password.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.host.conftest import *  # noqa: F403 - the fixtures of a finished server
from tests.host.load import Load
from tests.host.told import Told
from tests.host.trader import Trader
from tests.operations.controller import Controller
from tools.paths import ROOT


@pytest.fixture(scope="module")
def controller(host: Host) -> Controller:
    return Controller(ROOT, Path(os.environ["ALGOSAT_INVENTORY"]), host.check_output("hostname"))


@pytest.fixture
def load(trader: Trader, request: pytest.FixtureRequest) -> Iterator[Load]:
    """Orders at a steady pace, once it is entered; what became of them is told at the end of the run."""
    load = Load(trader, trader.instrument()["symbol"])
    yield load
    request.node.user_properties.append(("load", str(load)))


@pytest.fixture
def hung_engine(host: Host, told: Told, trader: Trader) -> Iterator[None]:
    """Orders are accepted, and do not leave. A stopped one would do so, too, but keeps no release out."""
    host.check_output("systemctl service-watchdogs no")
    # Not while it is its turn to write: it would never end that turn, and no order would be accepted either.
    store = told["algosat_database_url"].removeprefix("sqlite:///")
    hang = "systemctl kill --signal=STOP algosat-engine.service"
    host.check_output(f"flock {store}.gate flock {store}.lock {hang}")
    yield
    host.check_output(
        "systemctl kill --signal=CONT algosat-engine.service && systemctl service-watchdogs yes"
    )
    trader.next_price(trader.instrument()["symbol"])  # no order is taken on those from before


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("loads")
    for report in (it for its in terminalreporter.stats.values() for it in its):
        if getattr(report, "when", "") == "teardown":
            for _, said in report.user_properties:
                terminalreporter.line(f"{report.nodeid}: {said}")
