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


def write_down(machine: vms.Machine) -> None:
    machine.directory.mkdir()
    (machine.directory / "machine.json").write_text(json.dumps(asdict(machine)))


def stranger(*arguments: str) -> int:
    """A process of nobody here, with those words on its command line; its number."""
    words = " ".join(arguments)
    done = subprocess.run(
        ["sh", "-c", f"sh -c 'sleep 30; true' {words} >/dev/null 2>&1 & echo $!"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


def test_machine_that_was_written_down_is_known() -> None:
    write_down(MACHINE)
    assert vms.find("some") == MACHINE
    assert vms.names() == ["some"]
    assert vms.find("other") is None


def test_machine_of_another_distribution_is_not_taken_for_it() -> None:
    write_down(MACHINE)
    with pytest.raises(Trouble, match="some runs debian-12"):
        vms.run("some", named("debian-13"))


def test_power_is_cut_by_killing_the_machines_own_process() -> None:
    write_down(MACHINE)
    process = stranger("some")
    (MACHINE.directory / "pid").write_text(str(process))
    vms.cut("some")
    assert not Path(f"/proc/{process}").exists()


def test_process_that_has_the_number_by_chance_is_left_alone() -> None:
    write_down(MACHINE)
    process = stranger("something-else")
    (MACHINE.directory / "pid").write_text(str(process))
    with pytest.raises(Trouble, match="some is not running"):
        vms.cut("some")
    assert Path(f"/proc/{process}").exists()
    subprocess.run(["kill", str(process)], check=True)


def test_host_key_is_found_on_the_console_though_a_prompt_stands_before_it() -> None:
    said = "\nsome login: host-key ssh-ed25519 AAAA root@some\n"
    found = vms.HOST_KEY.search(said)
    assert found is not None
    assert found[1] == "ssh-ed25519 AAAA"


def test_kernel_is_told_the_network_and_the_key_in_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "public_key", lambda: "ssh-ed25519 AAAA algosat-local")
    told = list(vms.kernel_command_line(MACHINE))
    assert "ip=10.213.7.2:::255.255.255.0::eth1:off" in told
    assert '"systemd.set_credential=ssh.authorized_keys.root:ssh-ed25519 AAAA algosat-local"' in told


def test_inventory_is_told_the_machines_own_address_and_ports() -> None:
    assert MACHINE.variables["ansible_host"] == "10.213.7.2"
    assert MACHINE.variables["machine_seen_from"] == "10.213.7.1"
    assert MACHINE.variables["machine_https_port"] == 443


def test_changed_recipe_makes_another_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    before = disks.digest(named("debian-12"))
    monkeypatch.setattr(images, "PACKAGES", (*images.PACKAGES, "nano"))
    assert disks.digest(named("debian-12")) != before


def test_package_that_a_role_takes_up_makes_another_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(disks, "ROOT", tmp_path)
    defaults = tmp_path / "roles/some/defaults/main.yml"
    defaults.parent.mkdir(parents=True)
    defaults.write_text("some_packages: [nginx]")
    before = disks.digest(named("debian-12"))
    defaults.write_text("some_packages: [nginx, redis-server]")
    assert disks.digest(named("debian-12")) != before
