"""sshd where the provider's image starts it by a socket, which knows of one port: the inventory asks for two.

After the restart and the power cut of test_power.
"""

from __future__ import annotations

import subprocess

import pytest
from testinfra.host import Host

from tests.host.told import Told
from tests.vm.power import Power
from tools import ssh

pytestmark = pytest.mark.unit("ssh.service", "ssh.socket")


def test_socket_has_given_way_to_the_service(host: Host) -> None:
    assert not host.service("ssh.socket").is_running
    assert not host.service("ssh.socket").is_enabled
    assert host.service("ssh.service").is_running
    assert host.service("ssh.service").is_enabled


def test_operator_gets_in_at_every_port_and_is_root(told: Told, power: Power, me: str) -> None:
    assert len(told["ssh_ports"]) > 1
    assert {port: logs_in(power, port, me) for port in told["ssh_ports"]} == dict.fromkeys(
        told["ssh_ports"], "0"
    )


def logs_in(power: Power, port: int, user: str) -> str:
    """What a fresh login at that port says it is, by sudo."""
    address = power.machine.address
    options = ("-o", f"HostKeyAlias={address}", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-n")
    login = [*ssh.command(power.machine.name, port, user, address), *options, "sudo -n id --user"]
    done = subprocess.run(login, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr
