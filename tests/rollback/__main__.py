from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import tests.rollback
from tests.app.postgresql import cluster
from tools.bench.pairs import checkout
from tools.containers import free_port
from tools.paths import ROOT
from tools.say import Trouble, finish, note

_TURN: Final = ROOT / "tests" / "rollback" / "turn.py"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rollback", description=tests.rollback.__doc__)
    parser.add_argument("before", help="revision to roll back to")
    before = parser.parse_args().before
    with checkout(before) as earlier:
        sides = {before: earlier, "this release": ROOT}
        with tempfile.TemporaryDirectory(prefix="algosat-rollback-") as name:
            _take_turns(sides, Path(name), f"sqlite:///{name}/data/algosat.db")
        with tempfile.TemporaryDirectory(prefix="algosat-rollback-") as name, cluster() as server:
            _take_turns(sides, Path(name), server.make("book"))
    return 0


def _take_turns(sides: dict[str, Path], directory: Path, url: str) -> None:
    for name in ("data", "run"):
        (directory / name).mkdir()
    port = free_port(18180)
    for side, root in [*sides.items(), *sides.items()]:
        python = root / ".venv" / "bin" / "python"
        command = [str(python), "-P", str(_TURN), str(directory), url, str(port)]
        env = {**os.environ, "PYTHONPATH": str(root)}
        done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            logs = "".join(log.read_text()[-2000:] for log in sorted(directory.glob("*.log")))
            raise Trouble(f"{side} failed: {done.stdout}{done.stderr}{logs}", "fix it: a rollback would fail")
        note(f"{url.split(':')[0]}, {side}: schema {done.stdout.strip().splitlines()[-1]}")


if __name__ == "__main__":
    finish(main)
