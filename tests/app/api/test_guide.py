"""docs/api.md: each command works as written, and gives the answer that the guide shows.

`make docs` writes the answers that differ into the guide.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.app.builders import algosat_data, write_configuration
from tests.app.client import PASSWORD
from tests.app.events import PATIENCE, wait_for
from tests.app.servers import engine, serving
from tools.paths import ROOT

pytestmark = pytest.mark.slow

GUIDE: Final = ROOT / "docs" / "api.md"
# A command block, and the answer that follows it, if the guide shows one.
EXAMPLE: Final = re.compile(r"```sh\n(?P<command>.*?)```\n(?:\n```\w*\n(?P<answer>.*?)```\n)?", re.DOTALL)
MARK: Final = "-- end of the example --"
# What differs from run to run.
VARIES: Final = (
    (r"\ba[a-z2-7]{17}\b", "ORDER"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "KEY"),
    (r"\b[0-9a-f]{32}\b", "REQUEST"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"-?\d+(\.\d+)?", "NUMBER"),
)


@pytest.mark.skipif(shutil.which("jq") is None or shutil.which("curl") is None, reason="needs curl and jq")
def test_each_command_gives_the_answer_that_the_guide_shows(tmp_path: Path, fresh_store: Path) -> None:
    text = GUIDE.read_text()
    write_configuration(tmp_path, algosat_data(tmp_path, accounts__0__paper__seed=1))
    shutil.copy(fresh_store, tmp_path / "data" / "algosat.db")
    with engine(tmp_path), serving(tmp_path) as server:
        wait_for(lambda: server.ask("GET", "/health")[1]["components"]["engine"])
        answers = run([found["command"] for found in EXAMPLE.finditer(text)], server.port, tmp_path)
    if os.environ.get("SAVE"):
        GUIDE.write_text(with_answers(text, answers))
        return
    for found, answer in zip(EXAMPLE.finditer(text), answers, strict=True):
        assert steady(answer) == steady(found["answer"] or ""), f"run `make docs`:\n{found['command']}"


def run(commands: list[str], port: int, directory: Path) -> list[str]:
    """Return what each block prints, all of them run by one shell."""
    script = f"\necho '{MARK}'\n".join(commands)
    script = script.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("wait=2", "wait=30")
    file = directory / "guide.sh"
    file.write_text(f"set -euo pipefail\n{script}")
    done = subprocess.run(
        ["bash", file], cwd=directory, input=f"{PASSWORD}\n", capture_output=True, text=True,
        timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.replace("\r", "").split(f"{MARK}\n")


def with_answers(text: str, answers: list[str]) -> str:
    left = iter(answers)

    def replaced(found: re.Match[str]) -> str:
        answer = next(left)
        if found["answer"] is None or steady(found["answer"]) == steady(answer):
            return found[0]
        return found[0].replace(found["answer"], answer)

    return EXAMPLE.sub(replaced, text)


def steady(answer: str) -> str:
    for pattern, word in VARIES:
        answer = re.sub(pattern, word, answer)
    return answer
