"""A server in its years of work. The tests run playbooks against the machines of a molecule scenario, in the
order in which they are written, and watch from outside.

ALGOSAT_INVENTORY names the inventory; ALGOSAT_ADMIN_PASSWORD_FILE the file with the admin's password.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.host.conftest import *  # noqa: F403 - the fixtures of a finished server
from tests.host.load import Load
from tests.host.trader import Trader
from tests.operations.controller import Controller
from tools.paths import ROOT


@pytest.fixture(scope="module")
def controller(host: Host) -> Controller:
    return Controller(ROOT, Path(os.environ["ALGOSAT_INVENTORY"]), host.check_output("hostname"))


@pytest.fixture
def load(trader: Trader) -> Load:
    """Orders at a steady pace, once it is entered."""
    return Load(trader, trader.instrument()["symbol"])
