"""Operators: a key and sudo each, no password, nobody else; rules for those who would have one."""

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.host.told import Told


def test_operator_has_no_password_and_is_not_locked(host: Host, me: str) -> None:
    assert host.check_output("getent shadow %s", me).split(":")[1] == "*"


def test_operators_keys_are_his_alone(host: Host, me: str) -> None:
    keys = host.file(f"/home/{me}/.ssh/authorized_keys")
    assert (keys.user, keys.mode) == (me, 0o600)
    assert host.file(f"/home/{me}/.ssh").mode == 0o700


def test_sudo_rules_are_valid_and_name_the_operator(host: Host, me: str) -> None:
    assert host.run("visudo --check --quiet").rc == 0
    assert "NOPASSWD: ALL" in host.check_output("sudo --list --other-user=%s", me)


def test_nobody_but_root_is_root(host: Host) -> None:
    assert host.check_output("awk -F: '$3 == 0 {print $1}' /etc/passwd") == "root"


def test_no_account_has_a_password(host: Host) -> None:
    assert host.check_output("awk -F: '$2 ~ /^\\$/ {print $1}' /etc/shadow") == ""


def test_password_that_is_not_there_never_expires(host: Host, me: str) -> None:
    said = host.check_output("LC_ALL=C chage --list %s", me)
    assert "Password expires\t\t\t\t\t: never" in said
    assert "Account expires\t\t\t\t\t\t: never" in said


def test_what_a_login_makes_is_for_whom_it_was_told_and_what_sudo_makes_for_all(
    host: Host, told: Told, me: str
) -> None:
    assert host.check_output("su --login %s --command umask", me) == f"0{told['users_umask']}"
    assert host.check_output("umask") == (f"0{told['users_umask']}" if is_new(host) else "0022")


def is_new(host: Host) -> bool:
    """Whether sudo is that of Ubuntu 25.10 and later, which knows no umask, and no file but the journal."""
    return "sudo-rs" in host.check_output("sudo --version")


def test_idle_shell_ends_and_its_user_cannot_say_otherwise(host: Host, told: Told, me: str) -> None:
    seconds = told["users_tmout"]
    assert host.check_output("su --login %s --command 'echo $TMOUT'", me) == str(seconds or "")
    kept = host.run("su --login %s --command 'TMOUT=0; echo still here'", me).stdout
    assert kept == ("" if seconds else "still here\n")


def test_sudo_writes_down_who_did_what(host: Host, me: str) -> None:
    host.check_output("true trace-of-a-test")
    if is_new(host):
        said = host.check_output("journalctl --identifier=sudo --output=cat --since=-1min")
        assert any(line.startswith(f"{me} : ") and "trace-of-a-test" in line for line in said.splitlines())
        return
    assert f" : {me} : " in host.file("/var/log/sudo.log").content_string
    assert "trace-of-a-test" in host.file("/var/log/sudo.log").content_string.replace("\n    ", " ")
    assert host.file("/var/log/sudo.log").mode == 0o600


def test_su_is_for_root_alone(host: Host) -> None:
    refused = host.run("runuser --user nobody -- su --command id root </dev/null")
    assert refused.rc != 0
    # A wrong password alone would be an authentication failure.
    assert "Permission denied" in refused.stderr


@pytest.fixture
def guest(host: Host) -> Iterator[str]:
    """Somebody whose account was made by hand, with a password."""
    host.check_output("useradd --create-home guest-of-test")
    host.check_output("echo 'guest-of-test:Tr4der-of-Calcutta' | chpasswd")
    yield "guest-of-test"
    host.run("faillock --user guest-of-test --reset; userdel --remove guest-of-test")


@pytest.mark.parametrize("weak", ["short-1A", "alllowercaseletters", "Password12345!!!!"])
def test_weak_password_is_refused(host: Host, guest: str, weak: str) -> None:
    before = host.check_output("getent shadow %s", guest)
    assert host.run(f"echo '{guest}:{weak}' | chpasswd").rc != 0
    assert host.check_output("getent shadow %s", guest) == before


def test_wrong_passwords_close_an_account_to_the_right_one(host: Host, told: Told, guest: str) -> None:
    if is_new(host):
        pytest.skip("sudo-rs asks nobody for his password who may do nothing")

    def sudo(password: str) -> str:
        tried = f"echo {password} | LC_ALL=C sudo --stdin --reset-timestamp true"
        return str(host.run(f"runuser --user {guest} -- sh -c '{tried}'").stderr)

    assert "is not in the sudoers file" in sudo("Tr4der-of-Calcutta")
    for _ in range(4):
        assert "is not in the sudoers file" not in sudo("wrong")
    assert ("is not in the sudoers file" in sudo("Tr4der-of-Calcutta")) != told["users_faillock"]
    host.check_output("faillock --user %s --reset", guest)
    assert "is not in the sudoers file" in sudo("Tr4der-of-Calcutta")
