"""Killed runs: a locked-out operator regains access, and the next run completes the change."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import yaml
from testinfra.host import Host

from tests.operations.controller import Controller
from tests.operations.division import kills
from tools import containers, shell, ssh
from tools.paths import ROOT

UNITS = ("deadman@ssh", "deadman@ufw", "deadman@users", "ssh", "ufw", "nginx", "redis-server", "fail2ban")
pytestmark = pytest.mark.unit(*UNITS)

OPERATOR = "operator"
FOREIGN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFD1uWSlbtbKm8rWhZ2G8VY5mVwGqNzPgxFYc9NZkJcK nobody"
# Variables with which each role would lock the operator out.
LOCKOUT: dict[str, dict[str, Any]] = {
    "ssh": {"ssh_allow_users": ["nobody"]},
    "ufw": {"ufw_rules": [{"port": 443}]},
    "users": {
        "users_operators": [
            {"name": OPERATOR, "keys": [FOREIGN], "sudo": False},
            {"name": "colleague", "keys": [FOREIGN]},
        ]
    },
}
# Variables that remove the leftovers of a lock-out.
CLEANUP = {"users": {"users_removed": ["colleague"]}}
# For each service a setting, the command that shows the value in effect, and the expected output.
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
# Modules that never change the server.
LOCAL = {
    f"ansible.builtin.{it}" for it in ("assert", "include_role", "include_tasks", "import_tasks", "meta")
}
# A very busy machine needs seven seconds from arming to the change; a later change is refused.
SWITCH_SECONDS = 12
# Additional time for the restore.
PATIENCE_SECONDS = 120


def tasks(role: str, file: str = "*.yml") -> set[str]:
    """Return the names of the tasks that may change the server."""
    files = (ROOT / "roles" / role / "tasks").glob(file)
    named = [task for file in files for task in yaml.safe_load(file.read_text())]
    every = [each for task in named for each in task.get("block", [task])]
    read_only = [it for it in every if it.get("changed_when") is False or it.get("check_mode") is True]
    return {it["name"] for it in every if it not in read_only and not it.keys() & LOCAL}


def roles_with_switch() -> set[str]:
    """Return the roles that protect their changes with the dead-man's switch."""
    files = (ROOT / "roles").glob("*/tasks/*.yml")
    return {it.parts[-3] for it in files if re.search(r"^ *name: deadman$", it.read_text(), re.MULTILINE)}


def arguments(role: str, variables: dict[str, Any]) -> tuple[str, ...]:
    # Validating the inventory would take as long as the rest of the run.
    return (
        "provision.yml",
        f"--tags={role}",
        f"--extra-vars={json.dumps({'_inventory_validated': True, **variables})}",
    )


class CutRun(NamedTuple):
    """A lock-out run."""

    started: list[str]  # names of the tasks that may change the server
    killed: bool  # False: the run ended before


def run_until(controller: Controller, role: str, number: int) -> CutRun:
    """Start a lock-out run and kill it when its `number`-th changing task starts."""
    changing, output = tasks(role) | tasks("deadman"), []
    started: list[str] = []
    with controller.start(*arguments(role, {**LOCKOUT[role], "deadman_seconds": SWITCH_SECONDS})) as run:
        assert run.stdout is not None
        for line in run.stdout:
            output.append(line)
            task = re.match(r"TASK \[\w+ : (.+)\] \**$", line)
            if task and task[1] in changing:
                started.append(task[1])
                if len(started) == number:
                    kill(run.pid)
                    return CutRun(started, killed=True)
    assert run.returncode != 0, f"{role} did not lock out: {''.join(output)}"
    return CutRun(started, killed=False)


def kill(pid: int) -> None:
    """Kill a run and wait for its worker processes, which finish the current task on the server.

    Without the wait, a login could succeed before the task locks it out.
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


def test_every_role_with_a_switch_has_a_lockout_test() -> None:
    assert roles_with_switch() == LOCKOUT.keys()


def test_switch_fires_within_five_minutes() -> None:
    defaults = yaml.safe_load(Path(ROOT, "roles/deadman/defaults/main.yml").read_text())
    assert SWITCH_SECONDS < defaults["deadman_seconds"] <= 300 - PATIENCE_SECONDS


@pytest.mark.parametrize("role", sorted(LOCKOUT))
def test_run_killed_at_any_task_restores_access_and_next_run_completes(
    host: Host, controller: Controller, role: str
) -> None:
    commit = shell.output(["git", "-C", str(ROOT), "rev-parse", "HEAD"]).strip()
    for number in kills(commit, sorted(LOCKOUT), role):
        run = run_until(controller, role, number)
        wait_for_a_fresh_login(controller)
        controller.play(*arguments(role, {}))
        if not run.killed:
            break
    # Install, arm, change and apply. Disarming is not reached if the change removed sudo.
    assert len(tasks("deadman", "change.yml") & set(run.started)) >= 4
    assert host.run("ls /var/lib/deadman").stdout == ""
    controller.play(*arguments(role, CLEANUP.get(role, {})))


def test_change_after_the_switch_expired_locks_nobody_out(host: Host, controller: Controller) -> None:
    late = controller.attempt(*arguments("ssh", {**LOCKOUT["ssh"], "deadman_seconds": 0}))
    assert late.returncode != 0
    assert "deadman: too late" in late.stdout
    wait_for_a_fresh_login(controller)
    assert f"allowusers {OPERATOR}" in host.check_output("sshd -T").splitlines()
    controller.play(*arguments("ssh", {}))


@pytest.mark.parametrize("role", sorted(SETTINGS))
def test_run_killed_after_a_change_is_applied_by_the_next_run(
    host: Host, controller: Controller, role: str
) -> None:
    variables, command, expected = SETTINGS[role]
    assert host.check_output(command) != expected
    with controller.start(*arguments(role, variables)) as run:
        assert run.stdout is not None
        assert any(line.startswith("changed:") for line in run.stdout), f"{variables} changes no file"
        kill(run.pid)
    controller.play(*arguments(role, variables))
    assert host.check_output(command) == expected
    controller.play(*arguments(role, {}))
