"""Templates and derived variables of the machine roles, rendered for each distribution."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.template import trust_as_template

from tests.infra.rendering import Server, load, server
from tools.paths import ROOT

DISTRIBUTIONS = {
    "debian-12": ("Debian", "12.15"),
    "debian-13": ("Debian", "13.7"),
    "ubuntu-24.04": ("Ubuntu", "24.04"),
    "ubuntu-26.04": ("Ubuntu", "26.04"),
}
NEW = {"debian-13", "ubuntu-26.04"}
UNSUPPORTED = [
    ("Debian", "11.11"),
    ("Debian", "14.0"),
    ("Ubuntu", "22.04"),
    ("Ubuntu", "24.10"),
    ("Fedora", "42"),
]
# Written by ufw 0.36 itself after `ufw allow proto tcp from 198.51.100.0/24 to any port 22`,
# `ufw limit 22/tcp` and `ufw allow 80/tcp`.
WRITTEN_BY_UFW = """\
### RULES ###

### tuple ### allow tcp 22 0.0.0.0/0 any 198.51.100.0/24 in
-A ufw-user-input -p tcp --dport 22 -s 198.51.100.0/24 -j ACCEPT

### tuple ### limit tcp 22 0.0.0.0/0 any 0.0.0.0/0 in
-A ufw-user-input -p tcp --dport 22 -m conntrack --ctstate NEW -m recent --set
-A ufw-user-input -p tcp --dport 22 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 -j ufw-user-limit
-A ufw-user-input -p tcp --dport 22 -j ufw-user-limit-accept

### tuple ### allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in
-A ufw-user-input -p tcp --dport 80 -j ACCEPT

### END RULES ###
"""  # noqa: E501 - written by ufw


def machine(name: str, **facts: Any) -> Server:
    """Return the staging server's variables with the facts of the distribution."""
    distribution, version = DISTRIBUTIONS[name]
    known = {
        "distribution": distribution,
        "distribution_version": version,
        "virtualization_tech_guest": [],
        "packages": {},
        **facts,
    }
    variables = {**server("staging").variables, "ansible_facts": known}
    return Server(variables, server("staging").templar.copy_with_new_env(available_variables=variables))


def text(name: str, template: str, **variables: Any) -> str:
    role, _, path = template.partition(":")
    return machine(name).render(ROOT / "roles" / role / "templates" / f"{path}.j2", **variables)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_sshd_config_has_only_key_exchanges_that_its_version_supports(name: str) -> None:
    config = text(name, "ssh:etc/ssh/sshd_config")
    assert ("mlkem768x25519-sha256" in config) == (name in NEW)
    assert "sntrup761x25519-sha512@openssh.com" in config
    assert "PasswordAuthentication no\n" in config
    assert "PermitRootLogin no\n" in config
    assert "AuthorizedKeysFile .ssh/authorized_keys\n" in config


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_ssh_unit_is_the_socket_on_ubuntu_and_the_service_on_debian(name: str) -> None:
    assert machine(name).value("_ssh_unit") == ("ssh.socket" if name.startswith("ubuntu") else "ssh.service")


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_ssh_socket_of_a_providers_image_is_removed_on_debian(name: str) -> None:
    removed = {file["path"] for file in machine(name).value("_ssh_files") if file.get("state") == "absent"}
    link = "/etc/systemd/system/sockets.target.wants/ssh.socket"
    assert (link in removed) == name.startswith("debian")


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_http2_is_enabled_in_the_syntax_of_the_nginx_version(name: str) -> None:
    site = machine(name).value("nginx_sites")[0]
    config = text(name, "nginx:etc/nginx/sites-enabled/site.conf", site=site, first=True)
    assert ("    http2 on;" in config) == (name in NEW)
    assert ("listen 443 ssl http2 default_server;" in config) == (name not in NEW)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_fallback_time_servers_are_those_of_the_distribution(name: str) -> None:
    fallback = text(name, "common:etc/systemd/timesyncd.conf.d/servers.conf").partition("FallbackNTP=")[2]
    assert f"{DISTRIBUTIONS[name][0].lower()}." in fallback


@pytest.mark.parametrize(
    ("known", "allowed"),
    [*((known, True) for known in DISTRIBUTIONS.values()), *((known, False) for known in UNSUPPORTED)],
)
def test_only_a_supported_distribution_is_provisioned(known: tuple[str, str], allowed: bool) -> None:
    tasks = [task for play in load(ROOT / "playbooks" / "provision.yml") for task in play.get("tasks", [])]
    check = next(task for task in tasks if task["name"] == "Assert that the distribution is supported")
    facts = {"distribution": known[0], "distribution_version": known[1]}
    condition = f"{{{{ {check['ansible.builtin.assert']['that']} }}}}"
    templar = server("staging").templar.copy_with_new_env(
        available_variables={"ansible_facts": facts, **check["vars"]}
    )
    assert templar.template(trust_as_template(condition)) is allowed


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_updates_come_from_the_security_archive_of_the_distribution(name: str) -> None:
    config = text(name, "common:etc/apt/apt.conf.d/60unattended-upgrades")
    assert f"origin={DISTRIBUTIONS[name][0]}," in config
    assert "-security" in config
    assert config.count("{") == config.count("}")


def test_all_kernel_settings_are_written_outside_a_container() -> None:
    assert machine("debian-12").value("_sysctl_skipped") == []
    assert "vm.swappiness = 10\n" in text("debian-12", "sysctl:etc/sysctl.d/zz-hardening.conf")


def test_only_network_settings_are_written_in_a_container() -> None:
    container = machine("debian-12", virtualization_tech_guest=["podman", "container"])
    written = {setting["key"] for setting in container.value("_sysctl_settings")}
    assert "net.ipv4.tcp_syncookies" in written
    assert not any(key.startswith(("vm.", "fs.", "kernel.", "net.core.")) for key in written)
    assert {"vm.swappiness", "fs.file-max", "kernel.sysrq", "net.core.somaxconn"} <= set(
        container.value("_sysctl_skipped")
    )


def test_sysctl_of_the_inventory_wins_and_an_empty_value_removes() -> None:
    own = machine("debian-12")
    own.variables["sysctl_settings"] = {"vm.swappiness": 1, "kernel.sysrq": ""}
    wanted = {setting["key"]: setting["value"] for setting in own.value("_sysctl_settings")}
    assert wanted["vm.swappiness"] == 1
    assert "kernel.sysrq" not in wanted


def test_core_pattern_discards_core_dumps_unless_they_are_enabled() -> None:
    own = machine("debian-12")
    own.variables["common_core_dumps"] = True
    for server_, dropped in ((machine("debian-12"), True), (own, False)):
        written = {setting["key"] for setting in server_.value("_sysctl_settings")}
        assert ("kernel.core_pattern" in written) == dropped


def test_timesyncd_runs_except_in_a_container() -> None:
    container = machine("debian-12", virtualization_tech_guest=["podman", "container"])
    for server_, runs in ((machine("debian-12"), True), (container, False)):
        assert ("systemd-timesyncd.service" in server_.value("_common_running")) == runs
        assert "apt-daily-upgrade.timer" in server_.value("_common_running")


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("logrotate") is None, reason="rotating as another user needs root"
)
def test_log_above_the_size_limit_is_rotated_before_its_day_is_over(tmp_path: Path) -> None:
    own = machine("debian-12")
    entry = next(it for it in own.value("logrotate_files") if it["name"] == "nginx")
    file = {
        **entry,
        "path": f"{tmp_path}/*.log",
        "maxsize": "1k",
        "postrotate": f"echo rotated >>{tmp_path}/postrotate",
    }
    rules = tmp_path / "rules"
    rules.write_text(
        own.render(ROOT / "roles/logrotate/templates/etc/logrotate.d/file.j2", file=file, ansible_managed="M")
    )
    tmp_path.chmod(0o755)
    for name, size in (("access.log", 2000), ("error.log", 10)):
        (tmp_path / name).write_text("x" * size)
    for _ in range(2):
        subprocess.run(["logrotate", "--state", tmp_path / "state", rules], check=True)
    assert sorted(it.name for it in tmp_path.glob("*.log*")) == ["access.log", "access.log.1", "error.log"]
    assert (tmp_path / "postrotate").read_text() == "rotated\n"


def test_redirects_to_https_are_not_logged() -> None:
    own = machine("debian-12")
    site = own.value("nginx_sites")[0]
    config = text("debian-12", "nginx:etc/nginx/sites-enabled/site.conf", site=site, first=True)
    plain, _, secure = config.partition("listen 443")
    assert "access_log off;" in plain.partition("location / {")[2].partition("}")[0]
    assert "limit_req zone=requests" in plain.partition("acme-challenge/ {")[2].partition("}")[0]
    assert "access_log off;" not in secure


def test_firewall_rules_have_the_format_of_ufw() -> None:
    rules = [
        {"port": 22, "protocol": "tcp", "action": "allow", "source": "198.51.100.0/24"},
        {"port": 22, "protocol": "tcp", "action": "limit", "source": ""},
        {"port": 80, "protocol": "tcp", "action": "allow", "source": ""},
    ]
    written = text("debian-12", "ufw:etc/ufw/user.rules", ufw="ufw", anybody="0.0.0.0/0", rules=rules)
    assert WRITTEN_BY_UFW in written


def test_firewall_opens_three_ports_and_exempts_operators_from_limits() -> None:
    own = machine("debian-12")
    own.variables["algosat_operator_addresses"] = ["198.51.100.0/24", "2001:db8::/32"]
    v4, v6 = own.value("_ufw_rules_v4"), own.value("_ufw_rules_v6")
    assert {rule["port"] for rule in v4} == {22, 80, 443}
    assert (v4[0]["action"], v4[0]["source"]) == ("allow", "198.51.100.0/24")
    assert (v6[0]["action"], v6[0]["source"]) == ("allow", "2001:db8::/32")
    assert [rule["action"] for rule in v4 if rule["port"] == 22] == ["allow", "limit"]


def test_firewall_uses_ssh_ports_and_puts_additional_rules_first() -> None:
    own = machine("debian-12")
    own.variables["ssh_ports"] = [2222]
    own.variables["algosat_firewall_rules"] = [{"port": 443, "action": "deny", "sources": ["192.0.2.1"]}]
    v4 = [(rule["port"], rule["action"], rule["source"]) for rule in own.value("_ufw_rules_v4")]
    assert v4 == [
        (443, "deny", "192.0.2.1"),
        (2222, "limit", ""),
        (80, "allow", ""),
        (443, "allow", ""),
    ]


@pytest.mark.parametrize(
    ("overrides", "groups", "storage"),
    [
        ({}, ["redis"], "redis+unix:///run/redis/redis-server.sock"),
        ({"redis_unixsocket": "/run/redis/x.sock"}, ["redis"], "redis+unix:///run/redis/x.sock"),
        ({"redis_enabled": False}, [], "memory://"),
    ],
)
def test_rate_limit_storage_is_redis_if_enabled(
    overrides: dict[str, Any], groups: list[str], storage: str
) -> None:
    own = machine("debian-12")
    own.variables.update(overrides)
    assert own.value("algosat_groups") == groups
    assert own.value("algosat_security_rate_limit_storage") == storage


@pytest.mark.parametrize("status", [400, 403, 404, 413, 429, 502, 503, 504])
def test_nginx_returns_its_errors_as_problem_json(status: int) -> None:
    config = text("debian-12", "nginx:etc/nginx/snippets/problems.conf")
    assert f"error_page {status} /.problem/{status};" in config
    assert f'"status": {status}, ' in config
    # An apostrophe would end the string in the nginx configuration.
    assert config.count("'") == 2 * config.count("return ")


def test_nginx_allows_metrics_only_for_operators() -> None:
    own = machine("debian-12")
    own.variables["algosat_operator_addresses"] = ["198.51.100.0/24"]
    site = own.value("nginx_sites")[0]
    config = own.render(
        ROOT / "roles" / "nginx" / "templates" / "etc" / "nginx" / "sites-enabled" / "site.conf.j2",
        site=site,
        first=True,
    )
    metrics = config.partition("location = /metrics {")[2].partition("}")[0]
    assert metrics.split()[:8] == [
        "allow",
        "127.0.0.0/8;",
        "allow",
        "::1;",
        "allow",
        "198.51.100.0/24;",
        "deny",
        "all;",
    ]


def test_subject_alternative_names_distinguish_addresses_from_hosts() -> None:
    own = machine("debian-12")
    own.variables["tls_subject_alt_names"] = ["trade.example.org", "198.51.100.7", "::1"]
    assert own.value("_tls_alternative_names") == "IP:198.51.100.7,IP:::1,DNS:trade.example.org"


def test_operator_without_sudo_has_no_sudo_rule() -> None:
    own = machine("debian-12")
    own.variables["users_operators"] = [
        {"name": "maria", "keys": ["ssh-ed25519 AAAA"]},
        {"name": "auditor", "keys": ["ssh-ed25519 BBBB"], "sudo": False},
    ]
    rules = own.render(ROOT / "roles" / "users" / "templates" / "etc" / "sudoers.d" / "operators.j2")
    assert "maria ALL=(ALL:ALL) NOPASSWD: ALL\n" in rules
    assert "auditor" not in rules


# On Debian, sudo-rs is installed beside sudo, and sudo stays the default.
@pytest.mark.parametrize(
    ("name", "packages", "has_log_file"),
    [*((name, {}, True) for name in DISTRIBUTIONS),
     ("ubuntu-26.04", {"sudo-rs": []}, False), ("debian-13", {"sudo-rs": []}, True)],
)  # fmt: skip
def test_sudo_rules_have_only_options_that_its_version_supports(
    name: str, packages: dict[str, Any], has_log_file: bool
) -> None:
    template = ROOT / "roles/users/templates/etc/sudoers.d/operators.j2"
    rules = machine(name, packages=packages).render(template)
    assert "Defaults use_pty\n" in rules
    assert ("logfile=" in rules) == has_log_file


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_login_defs_has_only_options_that_its_version_supports(name: str) -> None:
    config = text(name, "users:etc/login.defs")
    assert ("FAILLOG_ENAB" in config) == (name not in NEW)
    assert "UMASK 027\n" in config


def test_sshd_drop_ins_are_included_after_the_hardening_settings() -> None:
    config = text("debian-12", "ssh:etc/ssh/sshd_config")
    assert config.rstrip().endswith("Include /etc/ssh/sshd_config.d/*.conf")
    assert config.count("Include ") == 1


def test_swap_file_is_created_except_in_a_container() -> None:
    path = "/etc/systemd/system/multi-user.target.wants/swapfile.service"
    container = machine("debian-12", virtualization_tech_guest=["podman", "container"])
    for server_, state in ((machine("debian-12"), "link"), (container, "absent")):
        assert next(file for file in server_.value("_common_files") if file["path"] == path)["state"] == state


def test_mounts_lose_their_restrictions_when_disabled() -> None:
    strict = text("debian-12", "common:etc/systemd/system/hardened-mounts.service")
    loose = text(
        "debian-12",
        "common:etc/systemd/system/hardened-mounts.service",
        common_noexec_mounts=False,
        common_hidepid=False,
    )
    assert "nosuid,noexec /tmp" in strict
    assert "hidepid=invisible" in strict
    assert "nosuid,exec /tmp" in loose
    assert "hidepid=off" in loose
