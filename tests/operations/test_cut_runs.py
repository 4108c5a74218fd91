"""Runs that are killed: whoever was locked out gets in again, and the next run finishes what was begun."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from testinfra.host import Host

from tests.operations.controller import Controller
from tools import containers, ssh
from tools.paths import ROOT

UNITS = ("deadman@ssh", "deadman@ufw", "deadman@users", "ssh", "ufw", "nginx", "redis-server", "fail2ban")
pytestmark = pytest.mark.unit(*UNITS)

OPERATOR = "operator"
FOREIGN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFD1uWSlbtbKm8rWhZ2G8VY5mVwGqNzPgxFYc9NZkJcK nobody"
# What a role is told so that the operator is out as soon as it is in force.
HARM: dict[str, dict[str, Any]] = {
    "ssh": {"ssh_allow_users": ["nobody"]},
    "ufw": {"ufw_rules": [{"port": 443}]},
    "users": {
        "users_operators": [
            {"name": OPERATOR, "keys": [FOREIGN], "sudo": False},
            {"name": "colleague", "keys": [FOREIGN]},
        ]
    },
}
# What is left over, and how it goes.
MENDED = {"users": {"users_removed": ["colleague"]}}
# A setting of a service, what shows whether it runs by it, and the answer then.
SETTINGS = {
    "nginx": (
        {"nginx_client_max_body_size": "1k"},
        "head -c 2000 /dev/zero | curl -sk -o /dev/null -w '%{http_code}' --data-binary @- https://localhost/orders",
        "413",
    ),
    "redis": (
        {"redis_maxmemory": "48mb"},
        "redis-cli -s /run/redis/redis-server.sock info memory | grep -x 'maxmemory:[0-9]*.'",
        f"maxmemory:{48 * 1024**2}",
    ),
    "fail2ban": ({"fail2ban_findtime": "7m"}, "fail2ban-client get sshd findtime", "420"),
}
# What a task does that does not change the server.
LOCAL = {
    f"ansible.builtin.{it}" for it in ("assert", "include_role", "include_tasks", "import_tasks", "meta")
}
# A very busy machine needs seven of them from arming to the change; later ones are refused.
SWITCH_SECONDS = 12
# How long it may take besides.
PATIENCE_SECONDS = 120


def tasks(role: str, file: str = "*.yml") -> set[str]:
    """The tasks of a role that may change the server."""
    files = (ROOT / "roles" / role / "tasks").glob(file)
    named = [task for file in files for task in yaml.safe_load(file.read_text())]
    every = [each for task in named for each in task.get("block", [task])]
    only_look = [it for it in every if it.get("changed_when") is False or it.get("check_mode") is True]
    return {it["name"] for it in every if it not in only_look and not it.keys() & LOCAL}


def under_the_switch() -> set[str]:
    """The roles that change something by which an operator comes in."""
    files = (ROOT / "roles").glob("*/tasks/*.yml")
    return {it.parts[-3] for it in files if re.search(r"^ *name: deadman$", it.read_text(), re.MULTILINE)}


def arguments(role: str, told: dict[str, Any]) -> tuple[str, ...]:
    # Judging the inventory takes as long as all that is drilled here.
    return (
        "provision.yml",
        f"--tags={role}",
        f"--extra-vars={json.dumps({'_inventory_validated': True, **told})}",
    )


def run_until(controller: Controller, role: str, number: int) -> str | None:
    """Kill a harmful run when that many of its tasks have begun; the last one's name, None if it is over."""
    changing, said = tasks(role) | tasks("deadman"), []
    with controller.begin(*arguments(role, {**HARM[role], "deadman_seconds": SWITCH_SECONDS})) as run:
        assert run.stdout is not None
        for line in run.stdout:
            said.append(line)
            task = re.match(r"TASK \[\w+ : (.+)\] \**$", line)
            if task and task[1] in changing:
                number -= 1
                if number == 0:
                    kill(run.pid)
                    return task[1]
    assert run.returncode != 0, f"{role} did no harm: {''.join(said)}"
    return None


def kill(pid: int) -> None:
    """Kill a run, and wait until the server is done with its last task: Ansible's workers live on until then.

    Otherwise a login could be in time for a lock-out that is still to come.
    """
    run = psutil.Process(pid)
    run.suspend()
    workers = run.children()
    run.kill()
    psutil.wait_procs(workers, timeout=PATIENCE_SECONDS)


def wait_for_a_fresh_login(controller: Controller) -> None:
    machine = containers.find(controller.server)
    assert machine is not None
    options = ("-o", "ControlPath=none", "-o", "ConnectTimeout=2", "-o", "BatchMode=yes")
    login = [*ssh.command(machine.name, machine.ssh_port, OPERATOR), *options, "sudo", "-n", "true"]
    deadline = time.monotonic() + SWITCH_SECONDS + PATIENCE_SECONDS
    while (tried := subprocess.run(login, capture_output=True, text=True, check=False)).returncode != 0:
        assert time.monotonic() < deadline, tried.stderr
        time.sleep(0.2)


def test_every_role_under_the_switch_is_drilled() -> None:
    assert under_the_switch() == HARM.keys()


def test_switch_fires_within_five_minutes() -> None:
    defaults = yaml.safe_load(Path(ROOT, "roles/deadman/defaults/main.yml").read_text())
    assert SWITCH_SECONDS < defaults["deadman_seconds"] <= 300 - PATIENCE_SECONDS


@pytest.mark.parametrize("role", sorted(HARM))
def test_run_killed_at_any_task_lets_its_operator_in_and_the_next_finishes(
    host: Host, controller: Controller, role: str
) -> None:
    killed: list[str | None] = [""]
    while killed[-1] is not None:
        killed.append(run_until(controller, role, len(killed)))
        wait_for_a_fresh_login(controller)
        controller.play(*arguments(role, {}))
    # Installed, armed, changed and applied; where sudo is gone by then, it does not get to disarming.
    assert len(tasks("deadman", "change.yml") & set(killed)) >= 4
    assert host.run("ls /var/lib/deadman").stdout == ""
    controller.play(*arguments(role, MENDED.get(role, {})))


def test_change_that_comes_after_the_clock_ran_out_locks_nobody_out(
    host: Host, controller: Controller
) -> None:
    late = controller.attempt(*arguments("ssh", {**HARM["ssh"], "deadman_seconds": 0}))
    assert late.returncode != 0
    assert "deadman: too late" in late.stdout
    wait_for_a_fresh_login(controller)
    assert f"allowusers {OPERATOR}" in host.check_output("sshd -T").splitlines()
    controller.play(*arguments("ssh", {}))


@pytest.mark.parametrize("role", sorted(SETTINGS))
def test_run_killed_once_a_file_is_changed_leaves_a_service_that_runs_by_it_after_the_next(
    host: Host, controller: Controller, role: str
) -> None:
    told, shows, expected = SETTINGS[role]
    assert host.check_output(shows) != expected
    with controller.begin(*arguments(role, told)) as run:
        assert run.stdout is not None
        assert any(line.startswith("changed:") for line in run.stdout), f"{told} changes no file"
        kill(run.pid)
    controller.play(*arguments(role, told))
    assert host.check_output(shows) == expected
    controller.play(*arguments(role, {}))
