"""Redis: reachable only through its socket, by the members of its group."""

import pytest
from testinfra.host import Host

from tests.host.variables import Variables

pytestmark = pytest.mark.unit("redis-server")


@pytest.fixture(autouse=True)
def socket(variables: Variables) -> str:
    if not variables["redis_enabled"]:
        pytest.skip("redis_enabled is off here")
    return str(variables["redis_unixsocket"])


def redis_cli(host: Host, socket: str, command: str, user: str = "redis") -> str:
    result = host.run(f"setpriv --reuid={user} --regid={user} --clear-groups redis-cli -s {socket} {command}")
    return str(result.stdout).strip()


def test_socket_is_accessible_only_to_its_group(host: Host, socket: str) -> None:
    file = host.file(socket)
    assert (file.group, file.mode) == ("redis", 0o770)


def test_member_of_the_group_can_connect(host: Host, socket: str) -> None:
    assert redis_cli(host, socket, "PING") == "PONG"


def test_other_users_cannot_connect(host: Host, socket: str) -> None:
    assert "PONG" not in redis_cli(host, socket, "PING", user="man")


def test_no_tcp_port_is_open(host: Host) -> None:
    assert "redis" not in host.check_output("ss --listening --tcp --processes")


@pytest.mark.parametrize("command", ["CONFIG GET dir", "FLUSHALL", "SHUTDOWN NOSAVE", "MODULE LIST"])
def test_administrative_command_is_denied(host: Host, socket: str, command: str) -> None:
    assert "NOPERM" in redis_cli(host, socket, command)


def test_counter_expires(host: Host, socket: str) -> None:
    assert redis_cli(host, socket, "SET test-counter 1 PX 1") == "OK"
    assert redis_cli(host, socket, "EVAL 'return redis.call(\"GET\", KEYS[1])' 1 test-counter") == ""
