"""Podman commands with the runtime and the limits that this machine requires."""

import functools
import re
import subprocess
from pathlib import Path

from tools import apt, shell

CAP_SYS_RESOURCE = 1 << 24
# conmon, the parent of a container, lowers its limit of processes to this.
PROCESSES_UNDER_CONMON = 32768
UNLIMITED = 1 << 20


@functools.cache
def command() -> tuple[str, ...]:
    """Return the beginning of every podman command: as root, with a runtime for this kernel's cgroups."""
    apt.ensure_commands("podman")
    return (*shell.as_root(), "podman", *_runtime())


def podman(*arguments: str, stdin: str | None = None, remedy: str = "") -> str:
    """Run podman and return its output."""
    return shell.output([*command(), *arguments], stdin=stdin, remedy=remedy)


def attempt(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run podman and return the finished process, whether it succeeded or not."""
    return shell.attempt([*command(), *arguments])


def answers(*arguments: str) -> bool:
    """Return whether a podman command such as `image exists` succeeds."""
    return attempt(*arguments).returncode == 0


def unified_cgroups() -> bool:
    """Return whether this machine has the unified cgroup hierarchy (v2) rather than the mixed one."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


@functools.cache
def limits() -> tuple[str, ...]:
    """Return `--ulimit` options if podman's defaults exceed the limits of its user."""
    process = shell.output([*shell.as_root(), "cat", "/proc/self/status", "/proc/self/limits"])
    if _has_capability(process, CAP_SYS_RESOURCE):
        return ()
    files = _hard_limit(process, "Max open files")
    processes = min(_hard_limit(process, "Max processes"), PROCESSES_UNDER_CONMON)
    return (f"--ulimit=nofile={files}:{files}", f"--ulimit=nproc={processes}:{processes}")


def _runtime() -> tuple[str, ...]:
    """Return runc on a mixed (v1 and v2) cgroup hierarchy, which crun refuses."""
    if unified_cgroups():
        return ()
    apt.ensure_commands("runc")
    return ("--runtime=runc",)


def _has_capability(status: str, capability: int) -> bool:
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return bool(effective and int(effective[1], 16) & capability)


def _hard_limit(process: str, title: str) -> int:
    found = re.search(rf"^{title}\s+\S+\s+(\d+)", process, re.MULTILINE)
    return int(found[1]) if found else UNLIMITED
