"""What only a machine with a kernel of its own can show.

ALGOSAT_ADMIN_PASSWORD_FILE names the file with the admin's password.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from testinfra.host import Host

from tests.host.conftest import *  # noqa: F403 - the fixtures of a finished server
from tests.vm.power import Power
from tools import vms


@pytest.fixture(scope="module")
def power(host: Host, one_connection: None, lines: Path) -> Power:
    """The machine's switch."""
    machine = vms.find(host.check_output("hostname"))
    assert machine is not None
    return Power(host, machine, lines)
