"""The machine uses the values of the inventory: disabled features are absent, additional ones present."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host

from tests.host.client import Client
from tests.host.variables import Variables


@pytest.mark.usefixtures("minimal")
@pytest.mark.parametrize(
    ("package", "path"),
    [
        ("redis-server", "/etc/systemd/system/redis-server.service.d"),
        ("fail2ban", "/etc/fail2ban"),
        ("auditd", "/etc/audit"),
        ("aide", "/etc/aide"),
        ("debsums", "/etc/systemd/system/debsums.timer"),
        ("prometheus", "/etc/prometheus"),
    ],
)
def test_disabled_feature_is_not_installed(host: Host, package: str, path: str) -> None:
    assert not host.package(package).is_installed
    assert not host.file(path).exists


def test_operator_without_sudo_may_only_log_in(host: Host, variables: Variables) -> None:
    visitor = next(it["name"] for it in variables["users_operators"] if not it.get("sudo", True))
    assert "not allowed" in host.run("sudo --list --other-user=%s", visitor).stdout
    assert host.file(f"/home/{visitor}/.ssh/authorized_keys").content_string.count("ssh-ed25519") == 1
    assert f"allowusers {visitor}" in host.check_output("sshd -T").splitlines()


def test_comment_of_an_operator_is_in_the_account(host: Host, variables: Variables) -> None:
    operator = next(it for it in variables["users_operators"] if "comment" in it)
    assert host.user(operator["name"]).gecos.startswith(operator["comment"])


def test_removed_user_has_no_account_and_no_home(host: Host, variables: Variables) -> None:
    for name in variables["users_removed"]:
        assert not host.user(name).exists
        assert not host.file(f"/home/{name}").exists


def test_additional_firewall_rules_apply_to_their_sources_only(host: Host, variables: Variables) -> None:
    live = host.check_output("iptables --list-rules ufw-user-input").splitlines()
    live += host.run("ip6tables --list-rules ufw6-user-input").stdout.splitlines()
    targets = {"allow": "ACCEPT", "deny": "DROP"}
    for rule in variables["algosat_firewall_rules"]:
        of_port = [line for line in live if f"--dport {rule['port']} " in line and "limit" not in line]
        of_port = [
            line for line in of_port if not any(it in line for it in variables["algosat_operator_addresses"])
        ]
        target, protocol = targets[rule.get("action", "allow")], rule.get("protocol", "tcp")
        for source in rule.get("sources", []):
            assert [line for line in of_port if f"-s {source} -p {protocol} " in line and target in line]
        if not rule.get("sources"):
            assert [
                line for line in of_port if "-s " not in line and f"-p {protocol} " in line and target in line
            ]


@pytest.mark.usefixtures("minimal")
def test_disabled_ipv6_is_dropped(host: Host) -> None:
    assert host.check_output("ip6tables --list-rules OUTPUT").startswith("-P OUTPUT DROP")
    assert "[::]:443 " not in host.check_output("ss --listening --tcp --numeric --no-header")


def test_dropped_packets_are_logged_only_if_configured(host: Host, variables: Variables) -> None:
    assert ("UFW BLOCK" in host.check_output("iptables --list-rules")) == variables["ufw_logging"]


def test_banner_is_the_configured_one(host: Host, variables: Variables) -> None:
    assert host.file("/etc/issue.net").content_string == variables["ssh_banner"]
    assert host.file("/etc/issue").content_string == variables["common_banner"]
    shown = "banner /etc/issue.net" in host.check_output("sshd -T").splitlines()
    assert shown == bool(variables["ssh_banner"])


def test_classic_key_exchange_is_offered_only_if_enabled(host: Host, variables: Variables) -> None:
    offered = re.findall(r"^kexalgorithms (.+)$", host.check_output("sshd -T"), re.MULTILINE)[0].split(",")
    assert ("curve25519-sha256" in offered) == variables["ssh_classic_key_exchange"]


def test_configured_kernel_setting_wins_and_empty_value_removes_it(host: Host, variables: Variables) -> None:
    written = dict(
        re.findall(
            r"^(\S+) = (.+)$", host.file("/etc/sysctl.d/zz-hardening.conf").content_string, re.MULTILINE
        )
    )
    for name, value in variables["sysctl_settings"].items():
        assert written.get(name, "") == str(value)
        assert not value or host.sysctl(name) == value
    for name, value in variables["sysctl_tuning"].items():
        if (
            name.startswith("net.ipv4.")
            and name not in variables["sysctl_settings"]
            and isinstance(value, int)
        ):
            assert host.sysctl(name) == value


def test_dead_mans_switch_has_the_configured_time(host: Host, variables: Variables) -> None:
    timer = host.file("/etc/systemd/system/deadman@.timer").content_string
    assert variables.expand("OnActiveSec={deadman_seconds}\n") in timer


def test_certificate_has_all_names_and_http_redirects_to_the_port(
    host: Host, client: Client, variables: Variables
) -> None:
    shown = host.check_output(
        variables.expand("openssl x509 -in {tls_directory}/fullchain.pem -noout -ext subjectAltName")
    )
    if variables["tls_mode"] != "own":
        assert all(f":{name}" in shown for name in variables["tls_subject_alt_names"])
    port = variables["algosat_https_port"]
    suffix = "" if port == 443 else f":{port}"
    assert client.get_http("/x").headers["location"] == f"https://{client.server_name}{suffix}/x"


@pytest.mark.usefixtures("full")
def test_redis_has_the_configured_memory_policy_and_socket(host: Host, variables: Variables) -> None:
    command = f"runuser -u redis -- redis-cli -s {variables['redis_unixsocket']} INFO memory"
    output = host.check_output(command)
    assert f"maxmemory_human:{variables['redis_maxmemory'].upper().replace('MB', '.00M')}" in output
    assert variables.expand("maxmemory_policy:{redis_maxmemory_policy}") in output
    assert not host.file("/run/redis/redis-server.sock").exists


@pytest.mark.usefixtures("full")
def test_audit_rules_and_limits_are_the_configured_ones(host: Host, variables: Variables) -> None:
    rules = host.file("/etc/audit/rules.d/50-hardening.rules").content_string
    assert all(rule in rules for rule in variables["auditing_rules"])
    limits = host.file("/etc/audit/auditd.conf").content_string
    assert variables.expand("num_logs = {auditing_num_logs}\n") in limits
    assert variables.expand("max_log_file = {auditing_max_log_file}\n") in limits
    times = host.check_output("systemctl show --property=TimersCalendar aidecheck.timer")
    assert variables.expand("OnCalendar=*-*-* {auditing_time}:00 ") in times


@pytest.mark.parametrize(
    ("timer", "variable"),
    [("algosat-backup.timer", "backup_schedule"), ("algosat-drill.timer", "backup_drill_schedule")],
)
def test_backup_timer_has_the_configured_schedule(
    host: Host, variables: Variables, timer: str, variable: str
) -> None:
    times = host.check_output("systemctl show --property=TimersCalendar %s", timer)
    assert f"OnCalendar={variables[variable]} ;" in times


@pytest.mark.usefixtures("full")
def test_time_servers_are_the_configured_ones(host: Host, variables: Variables) -> None:
    settings = host.check_output("systemd-analyze cat-config systemd/timesyncd.conf").splitlines()
    assert f"NTP={' '.join(variables['common_ntp_servers'])}" in settings


@pytest.mark.usefixtures("full")
def test_own_certificate_is_served_and_verifies(host: Host, client: Client, variables: Variables) -> None:
    assert client.server_name == variables["algosat_server_name"]
    assert client.get("/health").status == 200
    shown = host.file(variables.expand("{algosat_tls_directory}/fullchain.pem")).content_string
    assert shown.strip() == variables["tls_certificate"].strip()


@pytest.mark.usefixtures("full")
def test_configured_number_of_off_site_copies_is_kept(host: Host, variables: Variables) -> None:
    for _ in range(variables["backup_restic_keep"]["last"] + 1):
        host.check_output("systemctl start algosat-backup.service")
    listed = host.check_output(variables.expand("{algosat_home}/bin/offsite.sh snapshots --json"))
    assert listed.count('"short_id"') == variables["backup_restic_keep"]["last"]


@pytest.mark.usefixtures("minimal")
def test_off_site_copies_are_on_the_other_server(host: Host, variables: Variables) -> None:
    listed = host.check_output(variables.expand("{algosat_home}/bin/offsite.sh snapshots --json"))
    assert listed.count('"short_id"') > 0
    assert not host.file("/srv/vault").exists
