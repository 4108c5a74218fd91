"""Decommissioning a server. Runs as the last file of this folder, because it removes the application."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.operations.controller import Controller

pytestmark = pytest.mark.unit("algosat", "nginx")


def test_decommissioning_without_confirmation_is_refused(host: Host, controller: Controller) -> None:
    refused = controller.attempt("decommission.yml", "--extra-vars=confirm=somebody-else")
    assert refused.returncode != 0
    assert f"-e confirm={controller.server}" in refused.stdout
    assert host.service("algosat").is_running


def test_decommissioning_fetches_a_backup_and_wipes_the_secrets(
    host: Host, controller: Controller, tmp_path: Path
) -> None:
    secret = host.check_output("sed -n 's/^ *secret_key: //p' /etc/algosat/algosat.yaml")
    archive, name = f"--extra-vars=fetch_to={tmp_path}", f"--extra-vars=confirm={controller.server}"
    controller.play("decommission.yml", name, archive)
    fetched = list((tmp_path / controller.server).iterdir())
    assert len(fetched) == 1
    with tarfile.open(fetched[0]) as tar:
        assert any(it.name.endswith("/database/algosat.db") for it in tar)
    for gone in ("/etc/algosat", "/var/lib/algosat", "/opt/algosat", "/etc/ssl/algosat", "/etc/prometheus"):
        assert not host.file(gone).exists
    assert (
        host.run("grep --recursive --quiet --fixed-strings %s /etc /opt /var/lib", secret.strip('"')).rc == 1
    )
    assert host.run("systemctl list-unit-files --no-legend 'algosat*'").stdout == ""
    for port in (80, 443, 8080, 9090, 9093, 9100):
        assert not host.socket(f"tcp://{port}").is_listening
    controller.play("decommission.yml", name, archive)  # an interrupted run can be repeated
