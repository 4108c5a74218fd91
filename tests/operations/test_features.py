"""Disabled features are uninstalled while trading continues, and reinstalled when enabled."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from tests.host.load import Load
from tests.operations.controller import Controller

pytestmark = pytest.mark.unit("algosat", "redis-server", "fail2ban", "auditd", "prometheus")

OFF = {
    **{f"{role}_enabled": False for role in ("redis", "fail2ban", "monitoring", "auditing", "backup")},
    "algosat_api_workers": 1,  # without Redis, each worker would count requests separately
}
TAGS = "--tags=redis,fail2ban,monitoring,auditing,backup,algosat"
MONITORING = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
PACKAGES = ("redis-server", "fail2ban", *MONITORING, "auditd", "aide", "debsums")
LEFTOVERS = (
    *("/etc/redis", "/etc/fail2ban", "/etc/audit", "/etc/aide", "/etc/prometheus", "/var/lib/prometheus"),
    *("/etc/systemd/system/redis-server.service.d", "/etc/systemd/system/fail2ban.service.d"),
    *("/etc/systemd/system/algosat-backup.timer", "/etc/systemd/system/algosat-drill.timer"),
)


def test_disabled_feature_is_uninstalled_and_reinstalled(
    host: Host, controller: Controller, load: Load
) -> None:
    with load:
        controller.play("site.yml", TAGS, f"--extra-vars={json.dumps(OFF)}")
    assert [it for it in PACKAGES if host.package(it).is_installed] == []
    assert [it for it in LEFTOVERS if host.file(it).exists] == []
    assert host.run("systemctl --failed --no-legend").stdout == ""
    assert load.failures == []
    assert load.not_filled() == {}
    controller.play("site.yml", TAGS)
    for unit in ("redis-server", "fail2ban", "auditd", "algosat-backup.timer", *MONITORING):
        assert host.service(unit).is_enabled
    again = controller.play("site.yml", TAGS, "--check")
    assert "changed=0" in again
