"""Podman as this machine needs to be asked: which runtime, which limits. Found out, never assumed."""

import functools
import re
import subprocess
from pathlib import Path

from tools import apt, shell

CAP_SYS_RESOURCE = 1 << 24
# conmon, from which a container descends, lowers its own limit of processes to this.
PROCESSES_UNDER_CONMON = 32768
UNLIMITED = 1 << 20


@functools.cache
def command() -> tuple[str, ...]:
    """The beginning of every podman command: as root, with a runtime that this kernel's cgroups suit."""
    apt.ensure_commands("podman")
    return (*shell.as_root(), "podman", *_runtime())


def podman(*arguments: str, stdin: str | None = None, remedy: str = "") -> str:
    """Run podman and return what it prints."""
    return shell.output([*command(), *arguments], stdin=stdin, remedy=remedy)


def attempt(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run podman and return whatever became of it."""
    return shell.attempt([*command(), *arguments])


def answers(*arguments: str) -> bool:
    """Whether podman ends that command well, as with `image exists`."""
    return attempt(*arguments).returncode == 0


def unified_cgroups() -> bool:
    """Whether this machine has the one hierarchy of today's distributions, not the mixed one before it."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


@functools.cache
def limits() -> tuple[str, ...]:
    """`--ulimit` options, where podman's own defaults are beyond what its user may grant."""
    process = shell.output([*shell.as_root(), "cat", "/proc/self/status", "/proc/self/limits"])
    if _has_capability(process, CAP_SYS_RESOURCE):
        return ()
    files = _hard_limit(process, "Max open files")
    processes = min(_hard_limit(process, "Max processes"), PROCESSES_UNDER_CONMON)
    return (f"--ulimit=nofile={files}:{files}", f"--ulimit=nproc={processes}:{processes}")


def _runtime() -> tuple[str, ...]:
    """crun refuses the mixed (v1 and v2) cgroup hierarchy of some kernels; runc accepts it."""
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
