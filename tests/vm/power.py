"""Power control of a virtual machine: orderly restart and power failure."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from testinfra.host import Host

from tools import vms


@dataclass(frozen=True)
class Power:
    """A virtual machine and the SSH connections to it."""

    host: Host
    machine: vms.Machine
    ssh_sockets: Path  # directory of the control sockets

    def cut(self) -> None:
        """Cut the power without a shutdown."""
        vms.cut(self.machine.name)

    def restore(self) -> None:
        """Restore the power and wait until all units have started."""
        vms.start(self.machine.name)
        self._wait("")

    def reboot(self) -> None:
        """Reboot the machine and wait until all units have started."""
        before = self._boot_id()
        self.host.run("systemctl --no-block reboot")
        self._wait(before)

    def _wait(self, before: str) -> None:
        deadline = time.monotonic() + vms.BOOT_SECONDS
        self._close_connections()
        while self._boot_id() in {"", before}:
            assert time.monotonic() < deadline, self.machine.console.read_text(errors="replace")[-2000:]
            time.sleep(1)
            self._close_connections()
        self.host.run("systemctl is-system-running --wait")

    def _boot_id(self) -> str:
        """Return the kernel's boot id, or an empty string while the machine is unreachable."""
        try:
            return str(self.host.run("cat /proc/sys/kernel/random/boot_id").stdout.strip())
        except RuntimeError:  # raised by testinfra if ssh cannot connect
            return ""

    def _close_connections(self) -> None:
        """Close the shared SSH connections, which do not notice that the machine is gone."""
        for socket in self.ssh_sockets.iterdir():
            subprocess.run(
                ["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "machine"],
                capture_output=True, check=False,
            )  # fmt: skip
