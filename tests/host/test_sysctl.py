"""Kernel settings: the written values are in effect."""

import re

from testinfra.host import Host

FILE = "/etc/sysctl.d/zz-hardening.conf"


def test_known_settings_are_in_effect(host: Host) -> None:
    settings = dict(re.findall(r"^(\S+) = (.+)$", host.file(FILE).content_string, re.MULTILINE))
    assert settings["net.ipv4.tcp_syncookies"] == "1"
    live = host.check_output(f"sysctl --ignore {' '.join(settings)}")
    found = {key: " ".join(value.split()) for key, value in re.findall(r"^(\S+) = (.*)$", live, re.MULTILINE)}
    assert {key: value for key, value in settings.items() if found.get(key, value) != value} == {}


def test_container_writes_no_settings_of_its_hosts_kernel(host: Host) -> None:
    in_container = host.run("systemd-detect-virt --container").rc == 0
    names = re.findall(r"^(\S+) = ", host.file(FILE).content_string, re.MULTILINE)
    host_settings = [name for name in names if not re.match(r"net\.ipv[46]\.", name)]
    assert bool(host_settings) != in_container
