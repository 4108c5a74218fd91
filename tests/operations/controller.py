"""Runs playbooks against one server, from this checkout or from modified copies of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from tools.paths import ROOT, VENV_BIN

# Directories that copies share through symbolic links.
SHARED = (".venv", ".cache", ".local")


@dataclass(frozen=True)
class Controller:
    """A checkout, an inventory and the name of one server in it."""

    root: Path
    inventory: Path
    server: str

    def play(self, playbook: str, *arguments: str) -> str:
        """Run a playbook and return its output. Raises AssertionError if it fails."""
        done = self.attempt(playbook, *arguments)
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def attempt(self, playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook that may fail."""
        return subprocess.run(
            self.command(playbook, *arguments), cwd=self.root, env=self.environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False,
        )  # fmt: skip

    def start(self, playbook: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a playbook without waiting for it. Its output can be read line by line."""
        return subprocess.Popen(
            self.command(playbook, *arguments), cwd=self.root, env=self.environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip

    def command(self, playbook: str, *arguments: str) -> list[str]:
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        where = (f"--inventory={self.inventory}", f"--limit={self.server}")
        return [program, *where, str(self.root / "playbooks" / playbook), *arguments]

    def environment(self) -> dict[str, str]:
        """Return the environment of an operator, without the settings of Molecule for its own Ansible."""
        path = f"{VENV_BIN}{os.pathsep}{os.environ['PATH']}"
        own = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return {**own, "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"), "PATH": path,
                "PYTHONPATH": str(self.root), "ANSIBLE_FORCE_COLOR": "false"}  # fmt: skip

    def copy(self, directory: Path) -> Controller:
        """Copy the checkout into a directory, where it can be edited."""
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if not (ROOT / name).exists():  # removed from the work tree only
                continue
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
        for name in SHARED:
            (directory / name).symlink_to(ROOT / name)
        return replace(self, root=directory)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text in a file of a copy. Raises AssertionError if `old` is missing."""
        assert self.root != ROOT
        path = self.root / file
        text = path.read_text()
        assert old in text, f"{file} does not contain {old!r}"
        path.write_text(text.replace(old, new, 1))
