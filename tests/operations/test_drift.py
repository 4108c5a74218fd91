"""Drift: differences from the inventory are reported, and a run corrects only those."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest
from testinfra.host import Host

from tests.operations.controller import Controller
from tools.drift import DRIFTED

pytestmark = pytest.mark.unit("algosat", "nginx", "hardened-mounts")

# A unit that starts only at boot, and the drop-in directory that makes it fail.
AT_BOOT = "hardened-mounts.service"
BROKEN = f"/run/systemd/system/{AT_BOOT}.d"
FILE = "/etc/nginx/nginx.conf"


def drift(controller: Controller) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.drift", str(controller.inventory), "--limit", controller.server],
        cwd=controller.root, env=controller.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def health(host: Host) -> bool:
    return bool(json.loads(host.check_output("curl -s localhost:8080/health"))["components"]["drift"])


def test_file_edited_by_hand_is_reported_and_corrected(host: Host, controller: Controller) -> None:
    host.check_output(f"echo '# by hand' >> {FILE}")
    found = drift(controller)
    assert found.returncode == DRIFTED, found.stderr
    assert re.findall(r"^  (/\S+|\S+\.\w+) ", found.stdout, re.MULTILINE) == [FILE]
    assert "-# by hand" in found.stdout
    assert not health(host)
    output = controller.play("site.yml")
    changed = re.findall(r"^TASK \[(.+?)\] \*+\nchanged:", output, re.MULTILINE)
    assert changed
    assert all(task.startswith("nginx : ") for task in changed), changed
    again = drift(controller)
    assert again.returncode == 0, again.stdout + again.stderr
    # On a very busy machine, a check of health may end at its time limit, which counts as failed.
    deadline = time.monotonic() + 60
    while not health(host):
        assert time.monotonic() < deadline
        time.sleep(1)


def test_unit_that_failed_at_boot_stops_every_run_until_it_works(host: Host, controller: Controller) -> None:
    base = ("provision.yml", "--tags=common", "--extra-vars=_inventory_validated=true")
    host.check_output(
        f"mkdir -p {BROKEN} && printf '[Service]\nExecStart=/bin/false\n' > {BROKEN}/broken.conf"
    )
    assert host.run(f"systemctl daemon-reload && systemctl restart {AT_BOOT}").failed
    try:
        assert AT_BOOT in controller.play(*base, "--check")
        for _ in range(2):
            stopped = controller.attempt(*base)
            assert stopped.returncode != 0
            assert f"Unable to start service {AT_BOOT}" in stopped.stdout
    finally:
        host.check_output(f"rm -r {BROKEN} && systemctl daemon-reload")
    controller.play(*base)
    assert host.service(AT_BOOT).is_running
