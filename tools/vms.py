"""Virtual machines, for what a container cannot show: kernel settings, reboots and power cuts.

python -m tools.vms run NAME [--distro debian-13]   prints the ssh command
python -m tools.vms list | start NAME | cut NAME | restart NAME | remove NAME

QEMU translates the guest's code (TCG): that runs on any host, 5 to 8 times slower. Each machine has a tap
interface to this host, which reaches all its ports, and QEMU's user network to the outside.
"""

import argparse
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tools import apt, disks, shell, ssh
from tools.containers import write_variables
from tools.distros import DEFAULT, DISTROS, Distro, named
from tools.paths import LOCAL
from tools.say import Trouble, finish, note, step

DIRECTORY = LOCAL / "vms"
MEGABYTES = 2048
PROCESSORS = 2
LINES = range(100)
# Observed: half a minute on an idle host, two and a half minutes on a busy one.
BOOT_SECONDS = 900
# Anywhere in a line: the login prompt may precede it.
HOST_KEY = re.compile(r"\bhost-key (ssh-ed25519 \S+)")


@dataclass(frozen=True)
class Machine:
    """A virtual machine as seen from the host. `line` is the number of the network between the two."""

    name: str
    distro: str
    line: int

    @property
    def directory(self) -> Path:
        return DIRECTORY / self.name

    @property
    def console(self) -> Path:
        """The output of the machine's console."""
        return self.directory / "console.log"

    @property
    def interface(self) -> str:
        return f"algosat-vm{self.line}"

    @property
    def address(self) -> str:
        return f"10.213.{self.line}.2"

    @property
    def seen_from(self) -> str:
        """The host's address as the machine sees it."""
        return f"10.213.{self.line}.1"

    @property
    def ssh(self) -> list[str]:
        """The ssh command that logs in as root."""
        return ssh.command(self.name, 22, address=self.address)

    @property
    def variables(self) -> dict[str, str | int]:
        """Inventory variables: how Ansible reaches the machine, and the address it sees this host at."""
        return {
            "ansible_host": self.address,
            "ansible_port": 22,
            "ansible_ssh_private_key_file": str(ssh.KEY),
            "ansible_ssh_common_args": " ".join(ssh.options(self.name)),
            "machine_https_port": 443,
            "machine_seen_from": self.seen_from,
        }


def run(name: str, distro: Distro) -> Machine:
    """Return a running machine of that name, created if there is none.

    Raises:
        Trouble: a machine of that name runs another distribution.
    """
    machine = find(name)
    if machine and machine.distro != distro.name:
        raise Trouble(f"{name} runs {machine.distro}, not {distro.name}", "remove it first")
    if machine is None:
        disk = disks.ensure(distro)
        machine = Machine(name, distro.name, _free_line())
        machine.directory.mkdir(parents=True)
        for part in (disk.root, disk.kernel, disk.initrd):
            shell.output(["cp", "--sparse=always", "--reflink=auto", str(part), str(machine.directory)])
        (machine.directory / "machine.json").write_text(json.dumps(asdict(machine)))
    return start(name)


def start(name: str) -> Machine:
    """Switch the machine on if it is off. Returns once sshd answers."""
    machine = find(name)
    if machine is None:
        raise Trouble(f"there is no machine {name}")
    apt.ensure_commands("qemu-system-x86_64", "ip")
    if _process(machine) is None:
        with step(f"booting {name} ({machine.distro})"):
            _create_line(machine)
            machine.console.unlink(missing_ok=True)
            shell.output(_qemu(machine))
            if not ssh.known_hosts(name).exists():
                ssh.pin(name, _host_key(machine), 22, address=machine.address)
    ssh.wait(name, 22, address=machine.address, seconds=BOOT_SECONDS)
    return machine


def cut(name: str) -> None:
    """Cut the machine's power without notice: data that it had not flushed to its disk is lost."""
    machine = find(name)
    process = _process(machine) if machine else None
    if process is None:
        raise Trouble(f"{name} is not running")
    os.kill(process, signal.SIGKILL)
    while Path(f"/proc/{process}").exists():
        time.sleep(0.05)


def restart(name: str) -> Machine:
    """Cut the machine's power and switch it on again. Returns once sshd answers."""
    cut(name)
    return start(name)


def find(name: str) -> Machine | None:
    """Return the machine of that name, running or not, or None."""
    file = DIRECTORY / name / "machine.json"
    return Machine(**json.loads(file.read_text())) if file.exists() else None


def remove(name: str) -> None:
    """Delete the machine and its data."""
    machine = find(name)
    if machine is not None:
        if _process(machine) is not None:
            cut(name)
        if _has_line(machine.line):
            shell.output([*shell.as_root(), "ip", "link", "delete", machine.interface])
    shutil.rmtree(DIRECTORY / name, ignore_errors=True)
    ssh.known_hosts(name).unlink(missing_ok=True)


def names() -> list[str]:
    """Return the names of all machines, running or not."""
    return sorted(file.parent.name for file in DIRECTORY.glob("*/machine.json"))


def _qemu(machine: Machine) -> list[str]:
    own = machine.directory
    return [
        "qemu-system-x86_64",
        *("-name", machine.name),
        *("-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512"),
        # Page tables of four levels: translated code walks them faster than five.
        *("-cpu", "max,la57=off", "-smp", str(PROCESSORS), "-m", str(MEGABYTES)),
        *("-kernel", f"{own}/vmlinuz", "-initrd", f"{own}/initrd.img"),
        *("-append", " ".join(kernel_command_line(machine))),
        # A power cut ends QEMU. What the machine has flushed stays in the page cache of the host, which is
        # much faster than a disk.
        *("-drive", f"file={own}/root,format=raw,if=virtio,cache=unsafe"),
        *("-nic", f"user,ipv6=off,model=virtio-net-pci,mac=52:54:00:00:{machine.line:02x}:01"),
        *("-nic", ",".join((
            f"tap,ifname={machine.interface},script=no,downscript=no",
            f"model=virtio-net-pci,mac=52:54:00:00:{machine.line:02x}:02",
        ))),
        *("-device", "virtio-rng-pci"),
        *("-display", "none", "-serial", f"file:{machine.console}", "-daemonize", "-pidfile", f"{own}/pid"),
    ]  # fmt: skip


def kernel_command_line(machine: Machine) -> Iterator[str]:
    """Yield the kernel's parameters. Everything else on the machine is as the distribution has it."""
    yield from ("root=/dev/vda", "rw", "console=ttyS0", "quiet", "net.ifnames=0")
    # Mitigations are for flaws of real processors, and slow translated code down.
    yield "mitigations=off"
    yield f"systemd.hostname={machine.name}"
    yield "ip=eth0:dhcp"
    yield f"ip={machine.address}:::255.255.255.0::eth1:off"
    # As a provider does: the customer's key for root, unless root has authorised keys already.
    yield f'"systemd.set_credential=ssh.authorized_keys.root:{ssh.public_key()}"'


def _create_line(machine: Machine) -> None:
    """Create the network between host and machine, which QEMU's user may use."""
    if _has_line(machine.line):
        return
    ip = [*shell.as_root(), "ip"]
    device = ["dev", machine.interface]
    shell.output([*ip, "tuntap", "add", *device, "mode", "tap", "user", str(os.geteuid())])
    shell.output([*ip, "address", "add", f"{machine.seen_from}/24", *device])
    shell.output([*ip, "link", "set", *device, "up"])


def _free_line() -> int:
    for line in LINES:
        if not _has_line(line):
            return line
    raise Trouble(
        "all networks for virtual machines are in use", "remove machines: `ip link | grep algosat-vm`"
    )


def _has_line(line: int) -> bool:
    return Path(f"/sys/class/net/algosat-vm{line}").exists()


def _process(machine: Machine) -> int | None:
    """Return the machine's QEMU process, or None if another process has its recorded number by now."""
    try:
        process = int((machine.directory / "pid").read_text())
        command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return process if machine.name.encode() in command else None


def _host_key(machine: Machine) -> str:
    """Return the host key that the machine prints on its console when it has booted."""
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        output = machine.console.read_text(errors="replace") if machine.console.exists() else ""
        if found := HOST_KEY.search(output):
            return found[1]
        if time.monotonic() > deadline:
            raise Trouble(f"{machine.name} did not boot", f"see {machine.console}")
        time.sleep(0.5)


def main() -> None:
    """Run, list, start, restart, cut or remove virtual machines."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.vms",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    runs = verbs.add_parser("run")
    runs.add_argument("name")
    runs.add_argument("--distro", default=DEFAULT, choices=DISTROS)
    runs.add_argument("--host-vars", type=Path, help="also write the inventory variables to this file")
    for verb in ("start", "restart", "cut", "remove"):
        verbs.add_parser(verb).add_argument("name")
    verbs.add_parser("list")
    asked = parser.parse_args()
    if asked.verb == "run":
        machine = run(asked.name, named(asked.distro))
        if asked.host_vars:
            write_variables(machine.variables, asked.host_vars)
        note(" ".join(machine.ssh))
    elif asked.verb == "list":
        for name in names():
            note(json.dumps(asdict(found)) if (found := find(name)) else name)
    else:
        {"start": start, "restart": restart, "cut": cut, "remove": remove}[asked.verb](asked.name)


if __name__ == "__main__":
    finish(main)
