"""Fixtures of the tests that need a virtual machine with its own kernel.

ALGOSAT_ADMIN_PASSWORD_FILE names the file with the admin's password.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from testinfra.host import Host

from tests.host.conftest import *  # noqa: F403 - fixtures of an installed server
from tests.vm.power import Power
from tools import vms


@pytest.fixture(scope="module")
def power(host: Host, shared_connection: None, ssh_sockets: Path) -> Power:
    """Power control of the virtual machine."""
    machine = vms.find(host.check_output("hostname"))
    assert machine is not None
    return Power(host, machine, ssh_sockets)
