"""Redis: a socket for its group, and nothing else."""

import pytest
from testinfra.host import Host

pytestmark = pytest.mark.unit("redis-server")
SOCKET = "/run/redis/redis-server.sock"


def says(host: Host, command: str, user: str = "redis") -> str:
    done = host.run(f"setpriv --reuid={user} --regid={user} --clear-groups redis-cli -s {SOCKET} {command}")
    return str(done.stdout).strip()


def test_socket_is_its_groups_alone(host: Host) -> None:
    socket = host.file(SOCKET)
    assert (socket.group, socket.mode) == ("redis", 0o770)


def test_member_of_the_group_is_answered(host: Host) -> None:
    assert says(host, "PING") == "PONG"


def test_others_are_not_let_in(host: Host) -> None:
    assert "PONG" not in says(host, "PING", user="man")


def test_no_port_is_open_not_even_here(host: Host) -> None:
    assert "redis" not in host.check_output("ss --listening --tcp --processes")


@pytest.mark.parametrize("command", ["CONFIG GET dir", "FLUSHALL", "SHUTDOWN NOSAVE", "MODULE LIST"])
def test_command_beyond_data_is_for_nobody(host: Host, command: str) -> None:
    assert "NOPERM" in says(host, command)


def test_counter_expires(host: Host) -> None:
    assert says(host, "SET test-counter 1 PX 1") == "OK"
    assert says(host, "EVAL 'return redis.call(\"GET\", KEYS[1])' 1 test-counter") == ""
