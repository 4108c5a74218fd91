"""Validation of the inventory: an invalid value stops the run before any change and is named."""

import json
import subprocess
from pathlib import Path

import pytest

from tools.paths import ROOT, VENV_BIN

pytestmark = pytest.mark.slow


def validate(inventory: Path | str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [VENV_BIN / "ansible-playbook", "--inventory", inventory, "playbooks/validate.yml", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Return the directory of a valid inventory with one host and non-example secrets."""
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


def test_valid_inventory_passes(inventory: Path) -> None:
    done = validate(inventory)
    assert done.returncode == 0, done.stdout


def test_example_secrets_in_production_are_rejected_by_name() -> None:
    done = validate("inventories/production")
    assert done.returncode != 0
    for variable in ("security_secret_key", "encryption_keys", "admin_password"):
        assert f"vault_algosat_{variable}: is a public example secret" in done.stdout
    assert "example-only" not in done.stdout


def test_wrong_types_and_unknown_and_missing_names_are_reported_together(inventory: Path) -> None:
    main = inventory / "group_vars" / "algosat" / "main.yml"
    main.write_text(main.read_text().replace("algosat_admin_password", "algosat_admin_pasword"))
    own = ("-e", "algosta_api_port=8080", "-e", "desk_api_port=8080")
    done = validate(inventory, "-e", "algosat_debug=perhaps", *own)
    assert done.returncode != 0
    assert "'algosat_debug' is of type str and we were unable to convert to bool" in done.stdout
    assert "algosat_admin_pasword: unknown variable; did you mean algosat_admin_password?" in done.stdout
    assert "missing required arguments: algosat_admin_password" in done.stdout
    assert "algosta_api_port: unknown variable; did you mean algosat_api_port?" in done.stdout
    assert "desk_api_port" not in done.stdout


def test_failed_preflight_of_a_role_is_reported_with_its_message(inventory: Path) -> None:
    done = validate(inventory, "-e", '{"ssh_ports": [70000], "fail2ban_bantime": "ten minutes"}')
    assert done.returncode != 0
    assert "ssh_ports must hold at least one port from 1 to 65535; it is [70000]" in done.stdout
    assert "fail2ban_bantime, fail2ban_bantime_maximum and fail2ban_findtime must be a number" in done.stdout


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            '{"users_operators": [{"name": "algosat", "keys": ["ssh-ed25519 AAAA"]}]}',
            "algosat is the account of the services",
        ),
        ('{"users_removed": ["algosat"]}', "algosat is the account of the services"),
        ('{"users_removed": ["root"]}', "users_removed must contain neither an operator nor root"),
        (
            json.dumps({"users_operators": [{"name": "ann", "keys": [f"ssh-rsa {'A' * 372}"]}]}),
            "3072 bits or more",
        ),
    ],
    ids=["operator-is-service-account", "service-account-removed", "root-removed", "short-rsa"],
)
def test_logins_that_would_lock_out_a_user_are_rejected(
    inventory: Path, variables: str, message: str
) -> None:
    done = validate(inventory, "-e", variables)
    assert done.returncode != 0
    assert message in " ".join(done.stdout.split())


def test_setting_that_the_app_rejects_is_reported_under_its_variable_name(inventory: Path) -> None:
    done = validate(inventory, "-e", '{"algosat_api_port": 99999, "algosat_risk_max_daily_loss": -1}')
    assert done.returncode != 0
    assert "algosat_api_port: algosat.yaml: api.port: input should be less than" in done.stdout
    assert "algosat_risk_max_daily_loss: algosat.yaml: risk.max_daily_loss" in done.stdout


def test_calendar_file_with_mistakes_is_reported_with_every_place(inventory: Path) -> None:
    (inventory / "calendar.yaml").write_text(
        "holidays: {2030-01-26: Republic Day}\n"
        "pieces: {evening: [{phase: continuous, from: '19:00', until: '18:00'}]}\n"
    )
    main = inventory / "group_vars" / "algosat" / "main.yml"
    file = "{{ lookup('ansible.builtin.file', inventory_dir ~ '/calendar.yaml') }}"
    main.write_text(f'{main.read_text()}algosat_calendar: "{file}"\n')
    done = validate(inventory)
    assert done.returncode != 0
    for place in ("pieces.evening.0: ends at 18:00", "holidays.2030-01-26: is not within"):
        assert f"algosat_calendar: algosat.yaml: calendar: {place}" in done.stdout
    (inventory / "calendar.yaml").write_text("# Source: …\ncovers: {valid_through: 2027-12-31}\n")
    assert validate(inventory).returncode == 0


def test_off_site_repository_without_password_or_known_hosts_is_rejected(inventory: Path) -> None:
    done = validate(inventory, "-e", "backup_restic_repository=sftp:backup@192.0.2.7:/srv/x")
    assert done.returncode != 0
    assert "backup_restic_repository needs a backup_restic_password of at least 16 characters" in done.stdout


def test_extra_variables_for_a_single_run_pass(inventory: Path) -> None:
    done = validate(inventory, "-e", "at_a_time=100%", "-e", "algosat_force=true")
    assert done.returncode == 0, done.stdout
