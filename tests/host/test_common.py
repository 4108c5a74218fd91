"""Updates, time, journal, core dumps, mounts and kernel modules."""

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.host.variables import Variables

# Drop-in that replaces the update with a no-op, and the stamp file of a successful update.
DROP_IN = "/run/systemd/system/apt-daily-upgrade.service.d"
STAMP = "/var/lib/apt/periodic/upgrade-stamp"


def test_security_updates_follow_the_inventory(host: Host, variables: Variables) -> None:
    settings = host.check_output("apt-config dump")
    assert f'APT::Periodic::Unattended-Upgrade "{int(variables["common_unattended_upgrades"])}";' in settings
    reboot = str(variables["common_automatic_reboot"]).lower()
    assert f'Unattended-Upgrade::Automatic-Reboot "{reboot}";' in settings
    assert (
        variables.expand('Unattended-Upgrade::Automatic-Reboot-Time "{common_automatic_reboot_time}";')
        in settings
    )
    held = [
        f'Unattended-Upgrade::Package-Blacklist:: "{it}";' for it in variables["common_package_blacklist"]
    ]
    assert all(it in settings for it in held)
    assert 'APT::Periodic::Update-Package-Lists "1";' in settings


def test_unattended_upgrades_uses_only_security_archives(host: Host) -> None:
    origins = [
        line
        for line in host.check_output("apt-config dump").splitlines()
        if line.startswith(("Unattended-Upgrade::Origins-Pattern::", "Unattended-Upgrade::Allowed-Origins::"))
    ]
    assert origins
    assert all("ecurity" in origin for origin in origins)


def test_updates_run_only_at_the_configured_time(host: Host, variables: Variables) -> None:
    times = host.check_output("systemctl show --property=TimersCalendar apt-daily-upgrade.timer")
    assert times.count("OnCalendar=") == 1
    assert variables.expand("OnCalendar=*-*-* {common_unattended_upgrades_time}:00") in times


def test_clock_shows_the_time_of_the_configured_zone(host: Host, variables: Variables) -> None:
    local = host.check_output("date --date=@1767225600 +%H:%M")
    assert local == host.check_output("TZ=%s date --date=@1767225600 +%%H:%%M", variables["common_timezone"])
    assert host.check_output("readlink --canonicalize /etc/localtime").endswith(
        variables["common_timezone"][-3:]
    )


def test_journal_is_persistent_and_limited(host: Host, variables: Variables) -> None:
    settings = host.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert "Storage=persistent" in settings
    assert variables.expand("SystemMaxUse={common_journal_system_max_use}\n") in settings + "\n"
    assert variables.expand("MaxRetentionSec={common_journal_max_retention}\n") in settings + "\n"
    assert host.file("/var/log/journal").is_directory


def test_journal_is_not_forwarded_to_syslog(host: Host) -> None:
    settings = host.check_output("systemd-analyze cat-config systemd/journald.conf").splitlines()
    assert [it for it in settings if it.startswith("ForwardToSyslog=")][-1] == "ForwardToSyslog=no"


def test_core_dumps_are_limited_unless_enabled(host: Host, variables: Variables) -> None:
    # Not under sudo, which sets its own limit.
    limit = host.check_output("systemd-run --quiet --pipe --wait su --login --command 'ulimit -Hc'")
    assert (limit == "0") != variables["common_core_dumps"]


def test_journal_does_not_contain_module_arguments(host: Host) -> None:
    assert host.run("journalctl --no-pager --quiet --grep='^ansible-[^ ]* Invoked'").stdout == ""


def test_update_keeps_our_configuration_files(host: Host) -> None:
    output = host.check_output("unattended-upgrade --dry-run --debug 2>&1")
    assert "ecurity" in output.partition("Allowed origins are:")[2].partition("\n")[0]
    assert "--force-confold" in host.check_output("apt-config dump DPkg::Options")


@pytest.mark.parametrize("directory", ["/dev/shm", "/tmp"])
def test_program_in_a_world_writable_directory_does_not_run(
    host: Host, variables: Variables, directory: str
) -> None:
    if host.run("mountpoint --quiet %s", directory).rc != 0:
        pytest.skip(f"{directory} is not a separate file system here")
    program = f"{directory}/true-of-test"
    result = host.run(f"cp /bin/true {program} && {program}; code=$?; rm -f {program}; exit $code")
    assert result.rc == (126 if variables["common_noexec_mounts"] else 0)


def test_users_see_only_their_own_processes_if_hidden(host: Host, variables: Variables) -> None:
    visible = host.check_output("runuser --user nobody -- ls /proc").split()
    assert ("1" in visible) != variables["common_hidepid"]
    assert "1" in host.check_output("ls /proc").split()


@pytest.mark.parametrize("module", ["usb_storage", "cramfs", "dccp"])
def test_forbidden_module_cannot_be_loaded(host: Host, variables: Variables, module: str) -> None:
    rule = host.run(f"modprobe --showconfig | grep '^install {module} '").stdout
    forbidden = module in {it.replace("-", "_") for it in variables["common_module_blacklist"]}
    assert rule.strip().endswith("/bin/false") == forbidden


def test_homes_and_cron_directories_are_private(host: Host) -> None:
    loose = "find /home/* /home/*/.ssh /etc/cron.d /etc/cron.daily -maxdepth 0 -perm /077"
    assert host.check_output(loose) == ""


def test_swap_file_exists_except_in_a_container(host: Host) -> None:
    in_container = host.run("systemd-detect-virt --container").rc == 0
    assert host.file("/swapfile").exists != in_container


def test_failed_unit_is_reported_until_it_is_reset(host: Host, variables: Variables) -> None:
    def metrics() -> str:
        # Not `start`, which would wait for a run that the timer began before the change.
        host.check_output("systemctl restart failed-units.service")
        return str(host.file(variables["common_metrics_file"]).content_string)

    line = variables.expand("{common_metrics_prefix}unit_failed") + '{unit="fails-of-test.service"} 1\n'
    host.check_output("systemd-run --quiet --unit=fails-of-test --property=Type=oneshot false; true")
    try:
        assert line in metrics()
    finally:
        host.check_output("systemctl reset-failed fails-of-test.service")
    assert line not in metrics()
    assert host.service("failed-units.timer").is_running


def test_service_that_keeps_restarting_is_reported(host: Host, variables: Variables) -> None:
    options = "--property=Restart=always --property=RestartSec=100ms --property=StartLimitIntervalSec=0"
    host.check_output(f"systemd-run --quiet --unit=restarts-of-test {options} false")
    line = (
        variables.expand("{common_metrics_prefix}unit_restarting") + '{unit="restarts-of-test.service"} 1\n'
    )
    metrics = ""
    try:
        for _ in range(20):  # a run of the timer may come in between: the restarts since then may be too few
            host.check_output("sleep 2; systemctl restart failed-units.service")
            metrics = str(host.file(variables["common_metrics_file"]).content_string)
            if line in metrics:
                break
    finally:
        host.check_output(
            "systemctl stop restarts-of-test.service; systemctl reset-failed; systemctl restart failed-units"
        )
    assert line in metrics


@pytest.fixture
def noop_updates(host: Host, variables: Variables) -> Iterator[None]:
    if not variables["common_unattended_upgrades"]:
        pytest.skip("common_unattended_upgrades is off here")
    override = "[Service]\nExecStart=\nExecStart=/bin/true\n"
    host.check_output(f"mkdir -p {DROP_IN} && printf %s > {DROP_IN}/noop.conf", override)
    host.check_output(f"systemctl daemon-reload; test -e {STAMP} || touch --date=@0 {STAMP}")
    host.check_output(f"cp -p {STAMP} /run/stamp-of-test")
    yield
    host.check_output(f"rm -r {DROP_IN} && systemctl daemon-reload && mv /run/stamp-of-test {STAMP}")
    host.check_output("systemctl reset-failed apt-daily-upgrade.service")


@pytest.mark.unit("apt-daily-upgrade")
@pytest.mark.usefixtures("noop_updates")
@pytest.mark.parametrize(("stamp", "succeeds"), [("now", True), ("1 day ago", False)])
def test_missed_updates_fail_their_unit(host: Host, stamp: str, succeeds: bool) -> None:
    host.check_output(f"touch --date=%s {STAMP}", stamp)
    assert (host.run("systemctl start apt-daily-upgrade.service").rc == 0) == succeeds
