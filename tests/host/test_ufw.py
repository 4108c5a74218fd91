"""The firewall, by its packets."""

import pytest
from testinfra.host import Host

from tests.host.outside import Stranger
from tests.host.told import Told

pytestmark = pytest.mark.unit("ufw")


def test_everything_else_is_dropped(host: Host) -> None:
    status = host.check_output("ufw status verbose")
    assert "Status: active" in status
    assert "Default: deny (incoming), allow (outgoing)" in status
    assert host.check_output("iptables --list-rules INPUT").startswith("-P INPUT DROP")
    assert host.check_output("ip6tables --list-rules INPUT").startswith("-P INPUT DROP")


def test_rules_are_those_of_its_file_and_no_more(host: Host) -> None:
    asked = [
        line
        for line in host.file("/etc/ufw/user.rules").content_string.splitlines()
        if line.startswith("-A ufw-user-input ")
    ]
    live = host.check_output("iptables --list-rules ufw-user-input").splitlines()
    assert len(live) == len(asked) + 1


@pytest.mark.stranger
def test_stranger_reaches_the_website_but_not_the_application(told: Told, stranger: Stranger) -> None:
    assert stranger.reaches(80)
    assert stranger.reaches(443)
    assert not stranger.reaches(told["algosat_api_port"])


@pytest.mark.stranger
def test_stranger_who_knocks_at_ssh_too_often_is_refused(told: Told, stranger: Stranger) -> None:
    knocks = [stranger.reaches(told["ssh_ports"][0]) for _ in range(8)]
    assert knocks[0]
    assert not knocks[-1]
