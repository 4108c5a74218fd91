"""A virtual machine's power: switched by its own word, or taken away."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from testinfra.host import Host

from tools import vms


@dataclass(frozen=True)
class Power:
    host: Host
    machine: vms.Machine
    lines: Path  # where connections to it are kept open

    def cut(self) -> None:
        """Take it away in the middle of whatever goes on."""
        vms.cut(self.machine.name)

    def give(self) -> None:
        """Give it back; return once everything that starts with the machine has."""
        vms.start(self.machine.name)
        self._wait("")

    def reboot(self) -> None:
        """Have the machine restart itself; return once everything has started."""
        before = self._boot()
        self.host.run("systemctl --no-block reboot")
        self._wait(before)

    def _wait(self, before: str) -> None:
        deadline = time.monotonic() + vms.BOOT_SECONDS
        self._hang_up()
        while self._boot() in {"", before}:
            assert time.monotonic() < deadline, self.machine.console.read_text(errors="replace")[-2000:]
            time.sleep(1)
            self._hang_up()
        self.host.run("systemctl is-system-running --wait")

    def _boot(self) -> str:
        """The kernel's name for the time since it started; nothing while nobody answers."""
        try:
            return str(self.host.run("cat /proc/sys/kernel/random/boot_id").stdout.strip())
        except RuntimeError:  # testinfra's word for an ssh that does not get through
            return ""

    def _hang_up(self) -> None:
        """Forget the open connections: nobody told them that the other side is gone."""
        for line in self.lines.iterdir():
            subprocess.run(
                ["ssh", "-O", "exit", "-o", f"ControlPath={line}", "machine"],
                capture_output=True, check=False,
            )  # fmt: skip
