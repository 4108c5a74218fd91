"""What somebody changed by hand is named, told to health, and mended by a run that changes nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from testinfra.host import Host

from tests.operations.controller import Controller
from tools.drift import DRIFTED

pytestmark = pytest.mark.unit("algosat", "nginx")

FILE = "/etc/nginx/nginx.conf"


def drift(controller: Controller) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.drift", str(controller.inventory), "--limit", controller.server],
        cwd=controller.root, env=controller.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def health(host: Host) -> bool:
    return bool(json.loads(host.check_output("curl -s localhost:8080/health"))["components"]["drift"])


def test_file_edited_by_hand_is_named_and_mended_and_nothing_else_is_touched(
    host: Host, controller: Controller
) -> None:
    host.check_output(f"echo '# by hand' >> {FILE}")
    found = drift(controller)
    assert found.returncode == DRIFTED, found.stderr
    assert re.findall(r"^  (/\S+|\S+\.\w+) ", found.stdout, re.MULTILINE) == [FILE]
    assert "-# by hand" in found.stdout
    assert not health(host)
    said = controller.play("site.yml")
    changed = re.findall(r"^(?:TASK|RUNNING HANDLER) \[(.+?)\] \*+\nchanged:", said, re.MULTILINE)
    assert changed
    assert all(task.startswith("nginx : ") for task in changed), changed
    again = drift(controller)
    assert again.returncode == 0, again.stdout + again.stderr
    assert health(host)
