"""A wrong inventory stops the run before the first change, and names the variable."""

import json
import subprocess
from pathlib import Path

import pytest

from tools.paths import ROOT, VENV_BIN

pytestmark = pytest.mark.slow


def judge(inventory: Path | str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [VENV_BIN / "ansible-playbook", "--inventory", inventory, "playbooks/judge.yml", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """One host with secrets that are not examples."""
    (tmp_path / "group_vars" / "algosat").mkdir(parents=True)
    (tmp_path / "hosts.yml").write_text("algosat: {hosts: {trade.example.com: {}}}\n")
    (tmp_path / "group_vars" / "algosat" / "main.yml").write_text(
        "algosat_environment: production\n"
        "algosat_security_secret_key: Yq7ZrK0sVb3mWd9xJt5nLg2hPf8cRe4u\n"
        "algosat_encryption_keys: [ntqSB7xAP4yL1m8jYkR0vWzUeHdCfGo2b9KTs6QMXiE=]\n"
        "algosat_admin_password: Wd9xJt5nLg2hPf8c\n"
        "users_operators: [{name: operator, keys: [ssh-ed25519 AAAA operator]}]\n"
    )
    return tmp_path


def test_sound_inventory_passes(inventory: Path) -> None:
    done = judge(inventory)
    assert done.returncode == 0, done.stdout


def test_example_secrets_are_refused_in_production_by_name() -> None:
    done = judge("inventories/production")
    assert done.returncode != 0
    for variable in ("security_secret_key", "encryption_keys", "admin_password"):
        assert f"vault_algosat_{variable}: holds the example of the repository" in done.stdout
    assert "example-only" not in done.stdout


def test_wrong_types_unknown_names_and_missing_ones_are_all_named_at_once(inventory: Path) -> None:
    main = inventory / "group_vars" / "algosat" / "main.yml"
    main.write_text(main.read_text().replace("algosat_admin_password", "algosat_admin_pasword"))
    done = judge(inventory, "-e", "algosat_debug=perhaps")
    assert done.returncode != 0
    assert "'algosat_debug' is of type str and we were unable to convert to bool" in done.stdout
    assert "algosat_admin_pasword: no role knows it; did you mean algosat_admin_password?" in done.stdout
    assert "missing required arguments: algosat_admin_password" in done.stdout


def test_value_only_a_roles_preflight_can_judge_is_refused_with_its_words(inventory: Path) -> None:
    done = judge(inventory, "-e", '{"ssh_ports": [70000], "fail2ban_first_ban": "ten minutes"}')
    assert done.returncode != 0
    assert "ssh_ports must hold at least one port from 1 to 65535; it is [70000]" in done.stdout
    assert "fail2ban_first_ban, fail2ban_longest_ban and fail2ban_window must be a number" in done.stdout


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            '{"users_operators": [{"name": "algosat", "keys": ["ssh-ed25519 AAAA"]}]}',
            "algosat is whom the services run as",
        ),
        ('{"users_removed": ["algosat"]}', "algosat is whom the services run as"),
        ('{"users_removed": ["root"]}', "nor may root be there"),
        (
            json.dumps({"users_operators": [{"name": "ann", "keys": [f"ssh-rsa {'A' * 372}"]}]}),
            "3072 bits or more",
        ),
    ],
    ids=["operator-of-the-services", "services-removed", "root-removed", "short-rsa"],
)
def test_logins_that_would_lock_somebody_out_are_refused(inventory: Path, told: str, words: str) -> None:
    done = judge(inventory, "-e", told)
    assert done.returncode != 0
    assert words in " ".join(done.stdout.split())


def test_value_only_the_app_can_judge_is_refused_under_its_variables_name(inventory: Path) -> None:
    done = judge(inventory, "-e", '{"algosat_api_port": 99999, "algosat_risk_max_daily_loss": -1}')
    assert done.returncode != 0
    assert "algosat_api_port: algosat.yaml: api.port: input should be less than" in done.stdout
    assert "algosat_risk_max_daily_loss: algosat.yaml: risk.max_daily_loss" in done.stdout


def test_off_site_copies_without_password_or_proof_of_the_other_machine_are_refused(inventory: Path) -> None:
    done = judge(inventory, "-e", "backup_restic_repository=sftp:backup@192.0.2.7:/srv/x")
    assert done.returncode != 0
    assert "backup_restic_repository needs a backup_restic_password of at least 16 characters" in done.stdout


def test_what_a_run_may_be_told_for_once_passes(inventory: Path) -> None:
    done = judge(inventory, "-e", "at_a_time=100%", "-e", "algosat_force=true")
    assert done.returncode == 0, done.stdout
