"""Tests of operations on a running server. They run playbooks against the machines of a molecule scenario,
in the order of the files, and check the server over the network.

ALGOSAT_INVENTORY names the inventory, ALGOSAT_ADMIN_PASSWORD_FILE the file with the admin's password.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.host.conftest import *  # noqa: F403 - fixtures of an installed server
from tests.host.load import Load
from tests.host.trader import Trader
from tests.host.variables import Variables
from tests.operations.controller import Controller
from tests.operations.division import is_left_out
from tools.paths import ROOT


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    servers = str(config.getoption("hosts")).split(",")
    left_out = [item for item in items if is_left_out(item.path.name, servers)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="module")
def controller(host: Host) -> Controller:
    return Controller(ROOT, Path(os.environ["ALGOSAT_INVENTORY"]), host.check_output("hostname"))


@pytest.fixture
def load(trader: Trader, request: pytest.FixtureRequest) -> Iterator[Load]:
    """Yield a load, a context manager that places orders. The summary of the test run prints its figures."""
    load = Load(trader, trader.instrument()["symbol"])
    yield load
    request.node.user_properties.append(("load", str(load)))


@pytest.fixture
def pending_order(host: Host, variables: Variables, trader: Trader) -> Iterator[str]:
    """Suspend the engine and place an order, which stays unsent and prevents a release. Yield the order's id.

    An order that arrives too long after the engine's last heartbeat is refused: then both are done again.
    """
    symbol = trader.instrument()["symbol"]
    host.check_output("systemctl service-watchdogs no")
    # Suspend it while this command holds the write lock: an engine suspended in a write would block the API.
    store = variables["algosat_database_url"].removeprefix("sqlite:///")
    hang = "systemctl kill --signal=STOP algosat-engine.service"
    for _ in range(10):
        host.check_output(f"flock {store}.gate flock {store}.lock {hang}")
        placed = trader.buy(symbol, 2)
        if placed.status != 503:
            break
        resume_engine(host, trader, symbol)
    assert placed.status == 201, placed.text
    yield json.loads(placed.text)["id"]
    resume_engine(host, trader, symbol)
    host.check_output("systemctl service-watchdogs yes")


def resume_engine(host: Host, trader: Trader, symbol: str) -> None:
    """Continue the suspended engine, and wait until orders are accepted again."""
    host.check_output("systemctl kill --signal=CONT algosat-engine.service")
    trader.wait_for_price(symbol)  # the gate denies orders on quotes that are too old
    trader.wait_for_broker()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("loads")
    for report in (it for its in terminalreporter.stats.values() for it in its):
        if getattr(report, "when", "") == "teardown":
            for _, output in report.user_properties:
                terminalreporter.line(f"{report.nodeid}: {output}")
