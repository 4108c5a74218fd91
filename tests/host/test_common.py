"""Updates, time, journal and core dumps."""

from testinfra.host import Host


def test_security_updates_install_themselves(host: Host) -> None:
    understood = host.check_output("apt-config dump")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in understood
    assert 'APT::Periodic::Update-Package-Lists "1";' in understood


def test_unattended_upgrades_looks_at_security_archives_only(host: Host) -> None:
    origins = [
        line
        for line in host.check_output("apt-config dump").splitlines()
        if line.startswith(("Unattended-Upgrade::Origins-Pattern::", "Unattended-Upgrade::Allowed-Origins::"))
    ]
    assert origins
    assert all("ecurity" in origin for origin in origins)


def test_updates_are_installed_at_their_time_only(host: Host) -> None:
    times = host.check_output("systemctl show --property=TimersCalendar apt-daily-upgrade.timer")
    assert times.count("OnCalendar=") == 1
    assert "OnCalendar=*-*-* 22:30:00" in times


def test_clock_shows_utc(host: Host) -> None:
    assert host.check_output("date +%Z") == "UTC"


def test_journal_is_kept_on_disk_within_bounds(host: Host) -> None:
    settings = host.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert "Storage=persistent" in settings
    assert "SystemMaxUse=500M" in settings
    assert host.file("/var/log/journal").is_directory


def test_crashed_programs_leave_no_image(host: Host) -> None:
    assert host.check_output("su --login --command 'ulimit -Hc'") == "0"


def test_journal_does_not_repeat_the_arguments_of_ansibles_modules(host: Host) -> None:
    assert host.run("journalctl --no-pager --quiet --grep='^ansible-[^ ]* Invoked'").stdout == ""
