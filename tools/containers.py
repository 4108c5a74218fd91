"""Disposable machines: containers that run systemd and are reached over SSH, like a VPS.

python -m tools.containers run NAME [--distro debian-13]   prints the ssh command and an inventory line
python -m tools.containers list | restart NAME | remove NAME
"""

import argparse
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tools import apt_cache, images, locks, podman, ssh
from tools.distros import DEFAULT, DISTROS, Distro, named
from tools.say import Trouble, finish, note, step

NETWORK = "algosat"
LABEL = "algosat.distro"
INSIDE = (22, 80, 443)
BOOTED = {"running", "degraded"}
# On a host with mixed cgroups, give the container the unified hierarchy that every server has: systemd 258
# (Ubuntu 26.04) does not start without it.
INIT_WITH_UNIFIED_CGROUPS = (
    "/bin/sh",
    "-c",
    "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup /sys/fs/cgroup && exec /sbin/init",
)
# Authorise the key on standard input, unless root has authorised keys already.
AUTHORISE = (
    "cd /root && test -e .ssh/authorized_keys || { umask 077; mkdir -p .ssh; cat > .ssh/authorized_keys; }"
)


@dataclass(frozen=True)
class Machine:
    """A container as seen from the host. Its ports are published on 127.0.0.1."""

    name: str
    distro: str
    ssh_port: int
    http_port: int
    https_port: int
    moved_ssh_port: int = 0  # published for the port that the inventory moves SSH to; 0 if it does not

    @property
    def ssh(self) -> list[str]:
        """The ssh command that logs in as root."""
        return ssh.command(self.name, self.ssh_port)

    @property
    def variables(self) -> dict[str, str | int]:
        """Inventory variables: how Ansible reaches the machine, and the address it sees this host at."""
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.moved_ssh_port or self.ssh_port,
            "machine_first_ssh_port": self.ssh_port,
            "ansible_ssh_private_key_file": str(ssh.KEY),
            "ansible_ssh_common_args": " ".join(ssh.options(self.name)),
            "machine_https_port": self.https_port,
            "machine_seen_from": gateway(),
        }


def run(name: str, distro: Distro, ports: tuple[int, int, int] = (0, 0, 0), moves_to: int = 0) -> Machine:
    """Return a running machine of that name, created if there is none.

    Args:
        ports: preferred ports on 127.0.0.1 for 22, 80 and 443. A free one is chosen for 0 or a port in use.
        moves_to: port on the machine that its inventory moves SSH to.

    Raises:
        Trouble: a machine of that name runs another distribution.
    """
    found = find(name)
    if found and found.distro != distro.name:
        raise Trouble(f"{name} runs {found.distro}, not {distro.name}", "remove it first (`make down`)")
    if not found:
        image = images.ensure(distro)
        # No other process may take the ports or remove the network before the machine has started.
        with step(f"starting the machine {name} ({distro.name})"), locks.exclusive("machines"):
            _create(name, distro, image, ports, moves_to)
            podman.podman("start", name)
    return start(name)


def start(name: str) -> Machine:
    """Start the machine if it is stopped. Returns once systemd has booted and sshd answers."""
    machine = find(name)
    if machine is None:
        raise Trouble(f"there is no machine {name}")
    podman.podman("start", name)
    _wait_for_boot(name)
    _authorise(machine)
    ssh.wait(name, machine.ssh_port, machine.moved_ssh_port)
    return machine


def restart(name: str) -> Machine:
    """Stop and start the machine. Returns once it has booted."""
    podman.podman("stop", "--ignore", name)
    return start(name)


def gateway() -> str:
    """Return the source address of connections that reach a machine through its published ports."""
    network = json.loads(podman.podman("network", "inspect", NETWORK))[0]
    return str(network["subnets"][0]["gateway"])


def find(name: str) -> Machine | None:
    """Return the machine of that name, running or not, or None."""
    if not podman.answers("container", "exists", name):
        return None
    facts = json.loads(podman.podman("container", "inspect", name))[0]
    bindings = facts["HostConfig"]["PortBindings"]
    published = {inside: int(it[0]["HostPort"]) for inside, it in bindings.items()}
    known = [published.pop(f"{port}/tcp") for port in INSIDE]
    return Machine(name, facts["Config"]["Labels"][LABEL], *known, *published.values())


def write_variables(variables: Mapping[str, str | int], file: Path) -> None:
    """Write a machine's `variables` to a file of the inventory (host_vars/NAME.yml)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"{key}: {json.dumps(value)}\n" for key, value in variables.items())
    file.write_text("# How this machine is reached. Written whenever it is started.\n" + "".join(lines))


def remove(name: str) -> None:
    """Delete the machine and its data. Packages it has downloaded stay in the cache."""
    machine = find(name)
    if machine is not None:
        apt_cache.harvest(name, machine.distro)
        _delete(name)
    ssh.known_hosts(name).unlink(missing_ok=True)
    with locks.exclusive("machines"):
        if podman.answers("network", "exists", NETWORK) and not names():
            podman.podman("network", "rm", NETWORK)


def _delete(name: str) -> None:
    """Delete the container.

    Podman fails if the container stops just before podman kills it ("container state improper: stopped"). The
    second attempt finds it stopped.
    """
    removal = ("rm", "--force", "--ignore", "--time", "2", "--volumes", name)
    if not podman.answers(*removal):
        podman.podman(*removal)


def names() -> list[str]:
    """Return the names of all machines, running or not."""
    return podman.podman("ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.Names}}").split()


def free_port(preferred: int) -> int:
    """Return the preferred port if it is free, otherwise one that the kernel chooses."""
    for candidate in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Trouble("no port is free on 127.0.0.1")


def _create(name: str, distro: Distro, image: str, ports: tuple[int, int, int], moves_to: int) -> None:
    if not podman.answers("network", "exists", NETWORK):
        podman.podman("network", "create", NETWORK)
    podman.podman(
        "create",
        f"--name={name}",
        f"--hostname={name}",
        f"--label={LABEL}={distro.name}",
        f"--network={NETWORK}",
        "--privileged",
        "--systemd=always",
        "--cgroupns=private",
        *podman.limits(),
        *apt_cache.mount(distro.name),
        *(
            f"--publish=127.0.0.1:{free_port(preferred)}:{port}"
            for preferred, port in zip(ports, INSIDE, strict=True)
        ),
        *([f"--publish=127.0.0.1:{free_port(0)}:{moves_to}"] if moves_to else []),
        image,
        *(() if podman.unified_cgroups() else INIT_WITH_UNIFIED_CGROUPS),
    )


def _wait_for_boot(name: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while (state := _state(name)) not in BOOTED:
        if time.monotonic() > deadline:
            raise Trouble(
                f"systemd in {name} has not booted; its state is {state or 'unknown'}",
                f"look at `podman logs {name}` and `podman exec {name} systemctl list-jobs`",
            )
        time.sleep(0.3)
    if state == "degraded":
        note(f"    {name} is degraded; failed units: {_failed_units(name) or 'none'}")


def _state(name: str) -> str:
    return podman.attempt("exec", name, "systemctl", "is-system-running").stdout.strip()


def _failed_units(name: str) -> str:
    listed = podman.podman("exec", name, "systemctl", "--failed", "--plain", "--no-legend")
    return ", ".join(line.split()[0] for line in listed.splitlines())


def _authorise(machine: Machine) -> None:
    """Authorise this checkout's key for root and pin the machine's host key, as a provider does."""
    key = ssh.public_key() + "\n"
    podman.podman("exec", "--interactive", machine.name, "sh", "-c", AUTHORISE, stdin=key)
    host_key = podman.podman("exec", machine.name, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
    ssh.pin(machine.name, " ".join(host_key.split()[:2]), machine.ssh_port, machine.moved_ssh_port)


def _show(machine: Machine) -> None:
    values = {"ansible_user": "root", **machine.variables}
    note(" ".join(machine.ssh))
    note(f"{machine.name} {' '.join(f'{key}={json.dumps(value)}' for key, value in values.items())}")
    note(f"http http://127.0.0.1:{machine.http_port} https https://127.0.0.1:{machine.https_port}")


def main() -> None:
    """Run, list, restart or remove machines."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.containers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    runs = verbs.add_parser("run")
    runs.add_argument("name")
    runs.add_argument("--distro", default=DEFAULT, choices=DISTROS)
    runs.add_argument("--host-vars", type=Path, help="also write the inventory variables to this file")
    runs.add_argument("--moves-to", type=int, default=0, help="port that the inventory moves SSH to")
    for verb in ("restart", "remove"):
        verbs.add_parser(verb).add_argument("name")
    verbs.add_parser("list")
    asked = parser.parse_args()
    if asked.verb == "run":
        machine = run(asked.name, named(asked.distro), moves_to=asked.moves_to)
        if asked.host_vars:
            write_variables(machine.variables, asked.host_vars)
        _show(machine)
    elif asked.verb == "restart":
        restart(asked.name)
    elif asked.verb == "remove":
        remove(asked.name)
    else:
        for name in names():
            note(json.dumps(asdict(found)) if (found := find(name)) else name)


if __name__ == "__main__":
    finish(main)
