"""The machine goes by the values it was told; what is off is gone, what is on besides is there."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host

from tests.host.outside import Outside
from tests.host.told import Told


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize(
    ("package", "left"),
    [
        ("redis-server", "/etc/systemd/system/redis-server.service.d"),
        ("fail2ban", "/etc/fail2ban"),
        ("auditd", "/etc/audit"),
        ("aide", "/etc/aide"),
        ("debsums", "/etc/systemd/system/debsums.timer"),
    ],
)
def test_what_is_off_is_not_installed(host: Host, package: str, left: str) -> None:
    assert not host.package(package).is_installed
    assert not host.file(left).exists


def test_operator_without_sudo_may_log_in_and_no_more(host: Host, told: Told) -> None:
    visitor = next(it["name"] for it in told["users_operators"] if not it.get("sudo", True))
    assert "not allowed" in host.run("sudo --list --other-user=%s", visitor).stdout
    assert host.file(f"/home/{visitor}/.ssh/authorized_keys").content_string.count("ssh-ed25519") == 1
    assert f"allowusers {visitor}" in host.check_output("sshd -T").splitlines()


def test_comment_of_an_operator_is_in_his_account(host: Host, told: Told) -> None:
    named = next(it for it in told["users_operators"] if "comment" in it)
    assert host.user(named["name"]).gecos.startswith(named["comment"])


def test_login_that_was_taken_away_is_gone_with_its_home(host: Host, told: Told) -> None:
    for name in told["users_removed"]:
        assert not host.user(name).exists
        assert not host.file(f"/home/{name}").exists


def test_doors_that_the_inventory_adds_are_open_to_those_it_names_only(host: Host, told: Told) -> None:
    live = host.check_output("iptables --list-rules ufw-user-input").splitlines()
    live += host.run("ip6tables --list-rules ufw6-user-input").stdout.splitlines()
    targets = {"allow": "ACCEPT", "deny": "DROP"}
    for rule in told["algosat_firewall_rules"]:
        of_port = [line for line in live if f"--dport {rule['port']} " in line and "limit" not in line]
        of_port = [
            line for line in of_port if not any(it in line for it in told["algosat_operator_addresses"])
        ]
        target, protocol = targets[rule.get("action", "allow")], rule.get("protocol", "tcp")
        for source in rule.get("sources", []):
            assert [line for line in of_port if f"-s {source} -p {protocol} " in line and target in line]
        if not rule.get("sources"):
            assert [
                line for line in of_port if "-s " not in line and f"-p {protocol} " in line and target in line
            ]


@pytest.mark.usefixtures("little")
def test_ipv6_is_dropped_altogether_where_it_is_off(host: Host) -> None:
    assert host.check_output("ip6tables --list-rules OUTPUT").startswith("-P OUTPUT DROP")
    assert "[::]:443 " not in host.check_output("ss --listening --tcp --numeric --no-header")


def test_dropped_packets_are_logged_unless_told_otherwise(host: Host, told: Told) -> None:
    assert ("UFW BLOCK" in host.check_output("iptables --list-rules")) == told["ufw_logging"]


def test_banner_is_shown_as_it_was_told(host: Host, told: Told) -> None:
    assert host.file("/etc/issue.net").content_string == told["ssh_banner"]
    assert host.file("/etc/issue").content_string == told["common_banner"]
    shown = "banner /etc/issue.net" in host.check_output("sshd -T").splitlines()
    assert shown == bool(told["ssh_banner"])


def test_classic_key_exchange_is_agreed_to_only_where_it_was_told(host: Host, told: Told) -> None:
    agreed = re.findall(r"^kexalgorithms (.+)$", host.check_output("sshd -T"), re.MULTILINE)[0].split(",")
    assert ("curve25519-sha256" in agreed) == told["ssh_classic_key_exchange"]


def test_kernel_settings_of_the_inventory_win_and_an_empty_value_takes_one_out(
    host: Host, told: Told
) -> None:
    written = dict(
        re.findall(
            r"^(\S+) = (.+)$", host.file("/etc/sysctl.d/zz-hardening.conf").content_string, re.MULTILINE
        )
    )
    for name, value in told["sysctl_settings"].items():
        assert written.get(name, "") == str(value)
        assert not value or host.sysctl(name) == value
    for name, value in told["sysctl_tuning"].items():
        if name.startswith("net.ipv4.") and name not in told["sysctl_settings"] and isinstance(value, int):
            assert host.sysctl(name) == value


def test_dead_mans_switch_waits_as_long_as_it_was_told(host: Host, told: Told) -> None:
    timer = host.file("/etc/systemd/system/deadman@.timer").content_string
    assert told("OnActiveSec={deadman_seconds}\n") in timer


def test_certificate_is_for_every_name_it_was_told_and_http_leads_to_its_port(
    host: Host, outside: Outside, told: Told
) -> None:
    shown = host.check_output(
        told("openssl x509 -in {tls_directory}/fullchain.pem -noout -ext subjectAltName")
    )
    if told["tls_mode"] != "own":
        assert all(f":{name}" in shown for name in told["tls_subject_alt_names"])
    port = told["algosat_https_port"]
    suffix = "" if port == 443 else f":{port}"
    assert outside.plain("/x").headers["location"] == f"https://{outside.name}{suffix}/x"


@pytest.mark.usefixtures("much")
def test_redis_keeps_within_what_it_was_told(host: Host, told: Told) -> None:
    ask = f"runuser -u redis -- redis-cli -s {told['redis_unixsocket']} INFO memory"
    said = host.check_output(ask)
    assert f"maxmemory_human:{told['redis_maxmemory'].upper().replace('MB', '.00M')}" in said
    assert told("maxmemory_policy:{redis_maxmemory_policy}") in said
    assert not host.file("/run/redis/redis-server.sock").exists


@pytest.mark.usefixtures("much")
def test_audit_rules_and_bounds_are_those_of_the_inventory(host: Host, told: Told) -> None:
    rules = host.file("/etc/audit/rules.d/50-hardening.rules").content_string
    assert all(rule in rules for rule in told["auditing_rules"])
    bounds = host.file("/etc/audit/auditd.conf").content_string
    assert told("num_logs = {auditing_num_logs}\n") in bounds
    assert told("max_log_file = {auditing_max_log_file}\n") in bounds
    times = host.check_output("systemctl show --property=TimersCalendar aidecheck.timer")
    assert told("OnCalendar=*-*-* {auditing_time}:00 ") in times


@pytest.mark.parametrize(
    ("timer", "variable"),
    [("algosat-backup.timer", "backup_schedule"), ("algosat-drill.timer", "backup_drill_schedule")],
)
def test_backups_and_drills_are_made_at_their_time(host: Host, told: Told, timer: str, variable: str) -> None:
    times = host.check_output("systemctl show --property=TimersCalendar %s", timer)
    assert f"OnCalendar={told[variable]} ;" in times


@pytest.mark.usefixtures("much")
def test_time_servers_are_those_of_the_inventory(host: Host, told: Told) -> None:
    settings = host.check_output("systemd-analyze cat-config systemd/timesyncd.conf").splitlines()
    assert f"NTP={' '.join(told['common_ntp_servers'])}" in settings


@pytest.mark.usefixtures("much")
def test_certificate_shown_is_our_own_and_its_authority_is_believed(
    host: Host, outside: Outside, told: Told
) -> None:
    assert outside.name == told["algosat_server_name"]
    assert outside.get("/health").status == 200
    shown = host.file(told("{algosat_tls_directory}/fullchain.pem")).content_string
    assert shown.strip() == told["tls_certificate"].strip()


@pytest.mark.usefixtures("much")
def test_off_site_copies_are_kept_for_as_many_as_were_told(host: Host, told: Told) -> None:
    for _ in range(told["backup_restic_keep"]["last"] + 1):
        host.check_output("systemctl start algosat-backup.service")
    listed = host.check_output(told("{algosat_home}/bin/offsite.sh snapshots --json"))
    assert listed.count('"short_id"') == told["backup_restic_keep"]["last"]


@pytest.mark.usefixtures("little")
def test_off_site_copies_lie_on_the_other_server(host: Host, told: Told) -> None:
    listed = host.check_output(told("{algosat_home}/bin/offsite.sh snapshots --json"))
    assert listed.count('"short_id"') > 0
    assert not host.file("/srv/vault").exists
