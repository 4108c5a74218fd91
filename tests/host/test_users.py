"""Operators with keys and sudo, and password rules for other accounts."""

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.host.variables import Variables


def test_operator_has_no_password_and_is_not_locked(host: Host, login_user: str) -> None:
    assert host.check_output("getent shadow %s", login_user).split(":")[1] == "*"


def test_operator_keys_are_private(host: Host, login_user: str) -> None:
    keys = host.file(f"/home/{login_user}/.ssh/authorized_keys")
    assert (keys.user, keys.mode) == (login_user, 0o600)
    assert host.file(f"/home/{login_user}/.ssh").mode == 0o700


def test_sudo_rules_are_valid_and_name_the_operator(host: Host, login_user: str) -> None:
    assert host.run("visudo --check --quiet").rc == 0
    assert "NOPASSWD: ALL" in host.check_output("sudo --list --other-user=%s", login_user)


def test_root_is_the_only_account_with_uid_0(host: Host) -> None:
    assert host.check_output("awk -F: '$3 == 0 {print $1}' /etc/passwd") == "root"


def test_no_account_has_a_password(host: Host) -> None:
    assert host.check_output("awk -F: '$2 ~ /^\\$/ {print $1}' /etc/shadow") == ""


def test_account_without_password_never_expires(host: Host, login_user: str) -> None:
    output = host.check_output("LC_ALL=C chage --list %s", login_user)
    assert "Password expires\t\t\t\t\t: never" in output
    assert "Account expires\t\t\t\t\t\t: never" in output


def test_umask_is_the_configured_one_and_022_under_sudo(
    host: Host, variables: Variables, login_user: str
) -> None:
    assert host.check_output("su --login %s --command umask", login_user) == f"0{variables['users_umask']}"
    assert host.check_output("umask") == (f"0{variables['users_umask']}" if is_sudo_rs(host) else "0022")


def is_sudo_rs(host: Host) -> bool:
    """Return True for sudo-rs (Ubuntu 25.10 and later), which has no umask option and no log file."""
    return "sudo-rs" in host.check_output("sudo --version")


def test_idle_timeout_of_the_shell_cannot_be_changed_by_the_user(
    host: Host, variables: Variables, login_user: str
) -> None:
    seconds = variables["users_tmout"]
    assert host.check_output("su --login %s --command 'echo $TMOUT'", login_user) == str(seconds or "")
    kept = host.run("su --login %s --command 'TMOUT=0; echo still here'", login_user).stdout
    assert kept == ("" if seconds else "still here\n")


def test_sudo_logs_user_and_command(host: Host, login_user: str) -> None:
    host.check_output("true trace-of-a-test")
    if is_sudo_rs(host):
        output = host.check_output("journalctl --identifier=sudo --output=cat --since=-1min")
        assert any(
            line.startswith(f"{login_user} : ") and "trace-of-a-test" in line for line in output.splitlines()
        )
        return
    assert f" : {login_user} : " in host.file("/var/log/sudo.log").content_string
    assert "trace-of-a-test" in host.file("/var/log/sudo.log").content_string.replace("\n    ", " ")
    assert host.file("/var/log/sudo.log").mode == 0o600


def test_su_is_allowed_only_for_root(host: Host) -> None:
    refused = host.run("runuser --user nobody -- su --command id root </dev/null")
    assert refused.rc != 0
    # A wrong password would give "Authentication failure" instead.
    assert "Permission denied" in refused.stderr


@pytest.fixture
def guest(host: Host) -> Iterator[str]:
    """Create an account with a password, as an administrator would by hand."""
    host.check_output("useradd --create-home guest-of-test")
    host.check_output("echo 'guest-of-test:Tr4der-of-Calcutta' | chpasswd")
    yield "guest-of-test"
    host.run("faillock --user guest-of-test --reset; userdel --remove guest-of-test")


@pytest.mark.parametrize("weak", ["short-1A", "alllowercaseletters", "Password12345!!!!"])
def test_weak_password_is_rejected(host: Host, guest: str, weak: str) -> None:
    before = host.check_output("getent shadow %s", guest)
    assert host.run(f"echo '{guest}:{weak}' | chpasswd").rc != 0
    assert host.check_output("getent shadow %s", guest) == before


def test_account_is_locked_after_wrong_passwords_if_enabled(
    host: Host, variables: Variables, guest: str
) -> None:
    if is_sudo_rs(host):
        pytest.skip("sudo-rs does not ask users without rights for a password")

    def sudo(password: str) -> str:
        command = f"echo {password} | LC_ALL=C sudo --stdin --reset-timestamp true"
        return str(host.run(f"runuser --user {guest} -- sh -c '{command}'").stderr)

    assert "is not in the sudoers file" in sudo("Tr4der-of-Calcutta")
    for _ in range(4):
        assert "is not in the sudoers file" not in sudo("wrong")
    assert ("is not in the sudoers file" in sudo("Tr4der-of-Calcutta")) != variables["users_faillock"]
    host.check_output("faillock --user %s --reset", guest)
    assert "is not in the sudoers file" in sudo("Tr4der-of-Calcutta")
