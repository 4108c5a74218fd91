"""Redis: a socket for its group, and nothing else."""

import pytest
from testinfra.host import Host

from tests.host.told import Told

pytestmark = pytest.mark.unit("redis-server")


@pytest.fixture(autouse=True)
def socket(told: Told) -> str:
    if not told["redis_enabled"]:
        pytest.skip("redis_enabled is off here")
    return str(told["redis_unixsocket"])


def says(host: Host, socket: str, command: str, user: str = "redis") -> str:
    done = host.run(f"setpriv --reuid={user} --regid={user} --clear-groups redis-cli -s {socket} {command}")
    return str(done.stdout).strip()


def test_socket_is_its_groups_alone(host: Host, socket: str) -> None:
    file = host.file(socket)
    assert (file.group, file.mode) == ("redis", 0o770)


def test_member_of_the_group_is_answered(host: Host, socket: str) -> None:
    assert says(host, socket, "PING") == "PONG"


def test_others_are_not_let_in(host: Host, socket: str) -> None:
    assert "PONG" not in says(host, socket, "PING", user="man")


def test_no_port_is_open_not_even_here(host: Host) -> None:
    assert "redis" not in host.check_output("ss --listening --tcp --processes")


@pytest.mark.parametrize("command", ["CONFIG GET dir", "FLUSHALL", "SHUTDOWN NOSAVE", "MODULE LIST"])
def test_command_beyond_data_is_for_nobody(host: Host, socket: str, command: str) -> None:
    assert "NOPERM" in says(host, socket, command)


def test_counter_expires(host: Host, socket: str) -> None:
    assert says(host, socket, "SET test-counter 1 PX 1") == "OK"
    assert says(host, socket, "EVAL 'return redis.call(\"GET\", KEYS[1])' 1 test-counter") == ""
