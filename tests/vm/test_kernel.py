"""Settings that need the machine's own kernel, which containers share with their host."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host

SYSCTLS = "/etc/sysctl.d/zz-hardening.conf"
MODULES = "/etc/modprobe.d/hardening.conf"
RULES = "/etc/audit/rules.d/50-hardening.rules"
# Tries to load each module that this kernel provides.
TRY_EACH = """for module in {}; do
modinfo $module >/dev/null 2>&1 || continue
modprobe $module 2>/dev/null && echo loaded $module || echo refused $module
done"""
OPERATOR = "runuser --user operator -- "


def test_every_kernel_setting_is_written(host: Host) -> None:
    text = host.file(SYSCTLS).content_string
    assert "left out" not in text
    assert "net.core.somaxconn = 4096\n" in text


def test_every_kernel_setting_is_in_effect(host: Host) -> None:
    settings = dict(re.findall(r"^(\S+) = (.+)$", host.file(SYSCTLS).content_string, re.MULTILINE))
    live = host.run(f"sysctl --ignore {' '.join(settings)}").stdout
    found = {key: " ".join(value.split()) for key, value in re.findall(r"^(\S+) = (.*)$", live, re.MULTILINE)}
    assert {key: found.get(key) for key in settings if found.get(key) != settings[key]} == {}


def test_forbidden_module_cannot_be_loaded(host: Host) -> None:
    forbidden = re.findall(r"^blacklist (\S+)$", host.file(MODULES).content_string, re.MULTILINE)
    tried = host.check_output(TRY_EACH.format(" ".join(forbidden))).splitlines()
    assert tried
    assert [line for line in tried if not line.startswith("refused ")] == []
    loaded = host.check_output("cut --delimiter=' ' --fields=1 /proc/modules").split()
    assert not {module.replace("-", "_") for module in forbidden} & set(loaded)


def test_kernel_messages_are_readable_only_by_root(host: Host) -> None:
    assert host.run("dmesg").rc == 0
    assert host.run(f"{OPERATOR} dmesg").rc != 0


def test_apparmor_enforces_every_profile(host: Host) -> None:
    assert host.service("apparmor").is_running
    profiles = host.check_output("cat /sys/kernel/security/apparmor/profiles").splitlines()
    assert profiles
    assert [profile for profile in profiles if not profile.endswith("(enforce)")] == []


def test_swap_file_is_in_use(host: Host) -> None:
    swap = host.check_output("swapon --show=NAME,SIZE --bytes --noheadings").split()
    assert swap == ["/swapfile", str(1024 * 1024 * 1024 - 4096)]
    assert host.file("/swapfile").mode == 0o600


def test_time_synchronisation_is_running(host: Host) -> None:
    assert host.service("systemd-timesyncd").is_running


def test_crash_leaves_no_core_dump(host: Host) -> None:
    crash = "cd /tmp && ulimit -c unlimited; sh -c 'kill -SEGV $$'; ls /tmp/core* /var/lib/systemd/coredump/*"
    assert host.run(crash).stdout == ""


def test_kernel_has_every_audit_rule(host: Host) -> None:
    written = re.findall(r"^-[aw] .*-k (\S+)$", host.file(RULES).content_string, re.MULTILINE)
    loaded = re.findall(r"(?:-k |-F key=)(\S+)$", host.check_output("auditctl -l"), re.MULTILINE)
    assert sorted(loaded) == sorted(written)
    assert "enabled 1" in host.check_output("auditctl -s")


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("touch /etc/sudoers.d/of-test; rm /etc/sudoers.d/of-test", "privileges"),
        ("touch /etc/cron.d/of-test; rm /etc/cron.d/of-test", "units"),
        ("modprobe dummy; modprobe --remove dummy", "modules"),
        ("true", "as-root"),
    ],
)
def test_command_is_recorded_by_the_audit_system(host: Host, command: str, key: str) -> None:
    before = _recorded(host, key)
    host.run(command)
    assert _recorded(host, key) > before


def test_audit_records_are_not_repeated_in_the_journal(host: Host) -> None:
    before = host.check_output("date +%s")
    host.run("touch /etc/cron.d/of-test; rm /etc/cron.d/of-test")
    repeated = host.run(f"journalctl --quiet --no-pager --lines=3 --since=@{before} _TRANSPORT=audit")
    assert repeated.stderr == ""
    assert repeated.stdout == ""


def _recorded(host: Host, key: str) -> int:
    return int(
        host.check_output(f"ausearch --input-logs --key {key} --raw | grep --count type=SYSCALL || true")
    )


def test_credential_of_a_unit_is_private_and_kept_in_memory_only(host: Host) -> None:
    secret, unit = "/root/secret-of-test", "of-test.service"
    credential = f"/run/credentials/{unit}/name"
    host.check_output(f"install --mode=600 /dev/null {secret} && echo known > {secret}")
    try:
        properties = f"-p User=algosat -p LoadCredential=name:{secret}"
        host.check_output(f"systemd-run --quiet --unit={unit} {properties} sleep infinity")
        assert host.check_output(f"runuser --user algosat -- cat {credential}") == "known"
        assert host.run(f"runuser --user algosat -- cat {secret}").rc != 0
        assert host.run(f"{OPERATOR} cat {credential}").rc != 0
        kept = host.check_output(f"findmnt --noheadings --output=FSTYPE,OPTIONS --target {credential}")
        assert kept.startswith("ramfs ") or "noswap" in kept
    finally:
        host.run(f"systemctl stop {unit}; rm {secret}")
    assert not host.file(credential).exists
