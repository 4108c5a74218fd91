"""The firewall: rules and their effect."""

import pytest
from testinfra.host import Host

from tests.host.client import UntrustedClient
from tests.host.variables import Variables

pytestmark = pytest.mark.unit("ufw")


def test_incoming_packets_are_dropped_by_default(host: Host) -> None:
    status = host.check_output("ufw status verbose")
    assert "Status: active" in status
    assert "Default: deny (incoming), allow (outgoing)" in status
    assert host.check_output("iptables --list-rules INPUT").startswith("-P INPUT DROP")
    assert host.check_output("ip6tables --list-rules INPUT").startswith("-P INPUT DROP")


def test_active_rules_match_the_rules_file(host: Host) -> None:
    written = [
        line
        for line in host.file("/etc/ufw/user.rules").content_string.splitlines()
        if line.startswith("-A ufw-user-input ")
    ]
    live = host.check_output("iptables --list-rules ufw-user-input").splitlines()
    assert len(live) == len(written) + 1


@pytest.mark.untrusted
def test_other_network_reaches_nginx_but_not_the_application(
    variables: Variables, untrusted: UntrustedClient
) -> None:
    assert untrusted.can_connect(80)
    assert untrusted.can_connect(443)
    assert not untrusted.can_connect(variables["algosat_api_port"])


@pytest.mark.untrusted
def test_too_frequent_ssh_connections_are_rejected(variables: Variables, untrusted: UntrustedClient) -> None:
    attempts = [untrusted.can_connect(variables["ssh_ports"][0]) for _ in range(8)]
    assert attempts[0]
    assert not attempts[-1]
