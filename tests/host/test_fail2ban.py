"""Bans, by their packets."""

import time
from collections.abc import Callable

import pytest
from testinfra.host import Host

from tests.host.outside import Outside, Stranger

pytestmark = pytest.mark.unit("fail2ban")
JAILS = {"sshd", "nginx-limit-req", "nginx-botsearch", "algosat-login"}


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def test_every_jail_watches(host: Host) -> None:
    listed = host.check_output("fail2ban-client status").partition("Jail list:")[2]
    assert {name.strip() for name in listed.split(",")} == JAILS


def test_bans_grow(host: Host) -> None:
    settings = host.file("/etc/fail2ban/jail.local").content_string
    assert "bantime.increment = true" in settings


@pytest.mark.stranger
def test_stranger_with_wrong_keys_loses_every_port(stranger: Stranger) -> None:
    login = "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    for _ in range(6):
        stranger.does(f"timeout 5 {login} intruder@{stranger.server} true")
    assert eventually(lambda: not stranger.reaches(443))


@pytest.mark.stranger
def test_stranger_who_guesses_passwords_loses_every_port(host: Host, stranger: Stranger) -> None:
    if not host.service("algosat.service").is_running:
        pytest.skip("the application is not deployed on this server")
    guess = (
        f"curl --silent --insecure --max-time 5 --header content-type:application/json "
        f"""--data '{{"username": "admin-of-nothing", "password": "guess"}}' https://{stranger.server}/auth/login"""
    )
    for _ in range(10):
        stranger.does(guess)
    assert eventually(lambda: not stranger.reaches(443))


def test_operator_is_spared_however_often_he_fails(host: Host, outside: Outside) -> None:
    for _ in range(10):
        outside.ask("POST", "/auth/login", b"{}", {"content-type": "application/json"})
    time.sleep(3)
    assert outside.seen_from not in host.check_output("fail2ban-client banned")
    assert outside.open_ports([443]) == {443}
