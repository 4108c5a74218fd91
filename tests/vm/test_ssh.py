"""sshd on an image with socket activation for one port, while the inventory configures two.

Runs after the reboot and the power failure of test_power.
"""

from __future__ import annotations

import subprocess

import pytest
from testinfra.host import Host

from tests.host.variables import Variables
from tests.vm.power import Power
from tools import ssh

pytestmark = pytest.mark.unit("ssh.service", "ssh.socket")


def test_service_replaces_socket_activation(host: Host) -> None:
    assert not host.service("ssh.socket").is_running
    assert not host.service("ssh.socket").is_enabled
    assert host.service("ssh.service").is_running
    assert host.service("ssh.service").is_enabled


def test_operator_can_log_in_on_every_port_and_become_root(
    variables: Variables, power: Power, login_user: str
) -> None:
    assert len(variables["ssh_ports"]) > 1
    assert {port: login_uid(power, port, login_user) for port in variables["ssh_ports"]} == dict.fromkeys(
        variables["ssh_ports"], "0"
    )


def login_uid(power: Power, port: int, user: str) -> str:
    """Log in on the port and return the user id under sudo, or the error message."""
    address = power.machine.address
    options = ("-o", f"HostKeyAlias={address}", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-n")
    login = [*ssh.command(power.machine.name, port, user, address), *options, "sudo -n id --user"]
    done = subprocess.run(login, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr
