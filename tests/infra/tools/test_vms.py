"""Virtual machines: discovery, power, kernel command line and disks."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from tools import disks, images, ssh, vms
from tools.distros import named
from tools.say import Trouble

MACHINE = vms.Machine("some", "debian-12", 7)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(vms, "DIRECTORY", tmp_path)
    return tmp_path


def save(machine: vms.Machine) -> None:
    machine.directory.mkdir()
    (machine.directory / "machine.json").write_text(json.dumps(asdict(machine)))


def start_process(*arguments: str) -> int:
    """Start a process with the arguments on its command line and return its id."""
    line = " ".join(arguments)
    result = subprocess.run(
        ["sh", "-c", f"sh -c 'sleep 30; true' {line} >/dev/null 2>&1 & echo $!"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(result.stdout)


def test_saved_machine_is_found() -> None:
    save(MACHINE)
    assert vms.find("some") == MACHINE
    assert vms.names() == ["some"]
    assert vms.find("other") is None


def test_machine_of_another_distribution_is_rejected() -> None:
    save(MACHINE)
    with pytest.raises(Trouble, match="some runs debian-12"):
        vms.run("some", named("debian-13"))


def test_power_cut_kills_the_process_of_the_machine() -> None:
    save(MACHINE)
    process = start_process("some")
    (MACHINE.directory / "pid").write_text(str(process))
    vms.cut("some")
    assert not Path(f"/proc/{process}").exists()


def test_unrelated_process_with_the_saved_id_is_not_killed() -> None:
    save(MACHINE)
    process = start_process("something-else")
    (MACHINE.directory / "pid").write_text(str(process))
    with pytest.raises(Trouble, match="some is not running"):
        vms.cut("some")
    assert Path(f"/proc/{process}").exists()
    subprocess.run(["kill", str(process)], check=True)


def test_host_key_is_found_on_the_console_after_a_prompt() -> None:
    console = "\nsome login: host-key ssh-ed25519 AAAA root@some\n"
    found = vms.HOST_KEY.search(console)
    assert found is not None
    assert found[1] == "ssh-ed25519 AAAA"


def test_kernel_command_line_has_the_network_and_the_quoted_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "public_key", lambda: "ssh-ed25519 AAAA algosat-local")
    options = list(vms.kernel_command_line(MACHINE))
    assert "ip=10.213.7.2:::255.255.255.0::eth1:off" in options
    assert '"systemd.set_credential=ssh.authorized_keys.root:ssh-ed25519 AAAA algosat-local"' in options


def test_variables_have_the_address_and_ports_of_the_machine() -> None:
    assert MACHINE.variables["ansible_host"] == "10.213.7.2"
    assert MACHINE.variables["machine_seen_from"] == "10.213.7.1"
    assert MACHINE.variables["machine_https_port"] == 443


def test_changed_recipe_gives_another_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    before = disks.digest(named("debian-12"))
    monkeypatch.setattr(images, "PACKAGES", (*images.PACKAGES, "nano"))
    assert disks.digest(named("debian-12")) != before


def test_additional_package_of_a_role_gives_another_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(disks, "ROOT", tmp_path)
    defaults = tmp_path / "roles/some/defaults/main.yml"
    defaults.parent.mkdir(parents=True)
    defaults.write_text("some_packages: [nginx]")
    before = disks.digest(named("debian-12"))
    defaults.write_text("some_packages: [nginx, redis-server]")
    assert disks.digest(named("debian-12")) != before
