"""Updates, time, journal, core dumps, and what everybody may use."""

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.host.told import Told

# Updates that are over at once, and the stamp that they leave when they go well.
INSTEAD = "/run/systemd/system/apt-daily-upgrade.service.d"
STAMP = "/var/lib/apt/periodic/upgrade-stamp"


def test_security_updates_install_themselves_unless_told_otherwise(host: Host, told: Told) -> None:
    understood = host.check_output("apt-config dump")
    assert f'APT::Periodic::Unattended-Upgrade "{int(told["common_unattended_upgrades"])}";' in understood
    asked = str(told["common_automatic_reboot"]).lower()
    assert f'Unattended-Upgrade::Automatic-Reboot "{asked}";' in understood
    assert told('Unattended-Upgrade::Automatic-Reboot-Time "{common_automatic_reboot_time}";') in understood
    held = [f'Unattended-Upgrade::Package-Blacklist:: "{it}";' for it in told["common_package_blacklist"]]
    assert all(it in understood for it in held)
    assert 'APT::Periodic::Update-Package-Lists "1";' in understood


def test_unattended_upgrades_looks_at_security_archives_only(host: Host) -> None:
    origins = [
        line
        for line in host.check_output("apt-config dump").splitlines()
        if line.startswith(("Unattended-Upgrade::Origins-Pattern::", "Unattended-Upgrade::Allowed-Origins::"))
    ]
    assert origins
    assert all("ecurity" in origin for origin in origins)


def test_updates_are_installed_at_their_time_only(host: Host, told: Told) -> None:
    times = host.check_output("systemctl show --property=TimersCalendar apt-daily-upgrade.timer")
    assert times.count("OnCalendar=") == 1
    assert told("OnCalendar=*-*-* {common_unattended_upgrades_time}:00") in times


def test_clock_shows_the_time_of_its_zone(host: Host, told: Told) -> None:
    moment = host.check_output("date --date=@1767225600 +%H:%M")
    assert moment == host.check_output("TZ=%s date --date=@1767225600 +%%H:%%M", told["common_timezone"])
    assert host.check_output("readlink --canonicalize /etc/localtime").endswith(told["common_timezone"][-3:])


def test_journal_is_kept_on_disk_within_bounds(host: Host, told: Told) -> None:
    settings = host.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert "Storage=persistent" in settings
    assert told("SystemMaxUse={common_journal_system_max_use}\n") in settings + "\n"
    assert told("MaxRetentionSec={common_journal_max_retention}\n") in settings + "\n"
    assert host.file("/var/log/journal").is_directory


def test_journal_is_forwarded_to_nobody(host: Host) -> None:
    settings = host.check_output("systemd-analyze cat-config systemd/journald.conf").splitlines()
    assert [it for it in settings if it.startswith("ForwardToSyslog=")][-1] == "ForwardToSyslog=no"


def test_crashed_programs_leave_no_image_unless_told_otherwise(host: Host, told: Told) -> None:
    # Not below sudo, which has a limit of its own.
    limit = host.check_output("systemd-run --quiet --pipe --wait su --login --command 'ulimit -Hc'")
    assert (limit == "0") != told["common_core_dumps"]


def test_journal_does_not_repeat_the_arguments_of_ansibles_modules(host: Host) -> None:
    assert host.run("journalctl --no-pager --quiet --grep='^ansible-[^ ]* Invoked'").stdout == ""


def test_update_would_be_installed_over_a_configuration_of_ours(host: Host) -> None:
    said = host.check_output("unattended-upgrade --dry-run --debug 2>&1")
    assert "ecurity" in said.partition("Allowed origins are:")[2].partition("\n")[0]
    assert "--force-confold" in host.check_output("apt-config dump DPkg::Options")


@pytest.mark.parametrize("directory", ["/dev/shm", "/tmp"])
def test_program_does_not_run_where_everybody_may_write(host: Host, told: Told, directory: str) -> None:
    if host.run("mountpoint --quiet %s", directory).rc != 0:
        pytest.skip(f"{directory} is no file system of its own here")
    program = f"{directory}/true-of-test"
    tried = host.run(f"cp /bin/true {program} && {program}; code=$?; rm -f {program}; exit $code")
    assert tried.rc == (126 if told["common_noexec_mounts"] else 0)


def test_login_sees_its_own_processes_only_unless_told_otherwise(host: Host, told: Told) -> None:
    seen = host.check_output("runuser --user nobody -- ls /proc").split()
    assert ("1" in seen) != told["common_hidepid"]
    assert "1" in host.check_output("ls /proc").split()


@pytest.mark.parametrize("module", ["usb_storage", "cramfs", "dccp"])
def test_module_that_is_not_needed_cannot_be_loaded(host: Host, told: Told, module: str) -> None:
    rule = host.run(f"modprobe --showconfig | grep '^install {module} '").stdout
    forbidden = module in {it.replace("-", "_") for it in told["common_module_blacklist"]}
    assert rule.strip().endswith("/bin/false") == forbidden


def test_homes_and_jobs_are_not_for_others(host: Host) -> None:
    loose = "find /home/* /home/*/.ssh /etc/cron.d /etc/cron.daily -maxdepth 0 -perm /077"
    assert host.check_output(loose) == ""


def test_swap_file_is_there_unless_the_swap_is_the_hosts(host: Host) -> None:
    in_container = host.run("systemd-detect-virt --container").rc == 0
    assert host.file("/swapfile").exists != in_container


def test_unit_that_failed_is_told_until_it_is_mended(host: Host, told: Told) -> None:
    def figures() -> str:
        host.check_output("systemctl start failed-units.service")
        return str(host.file(told["common_metrics_file"]).content_string)

    line = told("{common_metrics_prefix}unit_failed") + '{unit="fails-of-test.service"} 1\n'
    host.check_output("systemd-run --quiet --unit=fails-of-test --property=Type=oneshot false; true")
    try:
        assert line in figures()
    finally:
        host.check_output("systemctl reset-failed fails-of-test.service")
    assert line not in figures()
    assert host.service("failed-units.timer").is_running


@pytest.fixture
def updates_instead(host: Host, told: Told) -> Iterator[None]:
    if not told["common_unattended_upgrades"]:
        pytest.skip("the inventory does without security updates")
    override = "[Service]\nExecStart=\nExecStart=/bin/true\n"
    host.check_output(f"mkdir -p {INSTEAD} && printf %s > {INSTEAD}/instead.conf", override)
    host.check_output(f"systemctl daemon-reload; test -e {STAMP} || touch --date=@0 {STAMP}")
    host.check_output(f"cp -p {STAMP} /run/stamp-of-test")
    yield
    host.check_output(f"rm -r {INSTEAD} && systemctl daemon-reload && mv /run/stamp-of-test {STAMP}")
    host.check_output("systemctl reset-failed apt-daily-upgrade.service")


@pytest.mark.unit("apt-daily-upgrade")
@pytest.mark.usefixtures("updates_instead")
@pytest.mark.parametrize(("stamp", "ends_well"), [("now", True), ("1 day ago", False)])
def test_updates_that_were_not_installed_fail_their_unit(host: Host, stamp: str, ends_well: bool) -> None:
    host.check_output(f"touch --date=%s {STAMP}", stamp)
    assert (host.run("systemctl start apt-daily-upgrade.service").rc == 0) == ends_well
