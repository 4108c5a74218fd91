"""Vaults: secrets are committed only encrypted and readable only with the password."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.infra.rendering import ENVIRONMENTS
from tools import passwords, vault
from tools.paths import ROOT
from tools.say import Trouble

HOOK = ROOT / "tools" / "hooks" / "pre-commit"
CLIENT = ROOT / "tools" / "vault-client"
SECRETS = {
    "vault_algosat_security_secret_key",
    "vault_algosat_encryption_keys",
    "vault_algosat_admin_password",
}


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up a checkout without inventories and a user without passwords."""
    for module in (passwords, vault):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(passwords, "LOCAL", tmp_path / ".local")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return tmp_path


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / it for it in listed.stdout.split("\0") if it]


def test_every_committed_vault_is_encrypted_for_its_environment() -> None:
    vaults = [it for it in committed() if it.name in ("vault.yml", "vault.yaml")]
    assert {vault.environment_of(it) for it in vaults} == set(ENVIRONMENTS)
    assert all(vault.file_of(str(vault.environment_of(it))) == it for it in vaults)


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_example_vault_has_the_documented_password_and_only_examples(environment: str) -> None:
    plain = vault.textconv(vault.file_of(environment))
    entries = [line.split(":")[0] for line in plain.splitlines() if line.startswith("vault_")]
    assert set(entries) == SECRETS
    assert plain.count("example-only") == len(SECRETS)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_secret_is_mapped_exactly_once(environment: str) -> None:
    main = (ROOT / "inventories" / environment / "group_vars" / "algosat" / "main.yml").read_text()
    for secret in SECRETS:
        assert main.count(f'{secret.removeprefix("vault_")}: "{{{{ {secret} }}}}"') == 1


def test_password_variable_precedes_file_and_file_precedes_example(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = passwords.example_of("qa")
    example.parent.mkdir(parents=True)
    example.write_text("# documented\nfrom-the-example\n")
    assert passwords.find("qa") == "from-the-example"
    kept = passwords.keep("qa")
    assert passwords.find("qa") == kept
    monkeypatch.setenv("ALGOSAT_VAULT_PASSWORD_QA", "from-the-variable")
    assert passwords.find("qa") == "from-the-variable"


def test_keyring_is_the_last_source_of_a_password(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lookups: list[tuple[str, str]] = []

    def answer(service: str, user: str) -> str:
        lookups.append((service, user))
        return "from-the-keyring"

    monkeypatch.setattr("keyring.get_password", answer)
    assert passwords.find("qa") == "from-the-keyring"
    assert lookups == [("algosat-vault", "qa")]


def test_password_file_is_private(nowhere: Path) -> None:
    passwords.keep("qa")
    assert passwords.file_of("qa").stat().st_mode & 0o777 == 0o600


def test_password_file_readable_by_others_is_rejected(nowhere: Path) -> None:
    passwords.keep("qa")
    passwords.file_of("qa").chmod(0o644)
    with pytest.raises(Trouble, match="other users may read") as trouble:
        passwords.find("qa")
    assert trouble.value.remedy.startswith("chmod 600")


def test_password_of_the_local_inventory_is_created_on_first_use(nowhere: Path) -> None:
    made = passwords.find("local")
    assert made
    assert passwords.find("local") == made


def test_concurrent_first_uses_get_the_same_password(nowhere: Path) -> None:
    file = passwords.file_of("local")
    with ThreadPoolExecutor(8) as many:
        for _ in range(20):
            file.unlink(missing_ok=True)
            assert len(set(many.map(passwords.find, ["local"] * 8))) == 1
            assert file.stat().st_mode & 0o777 == 0o600
            assert list(file.parent.iterdir()) == [file]


def test_client_without_a_password_names_its_sources() -> None:
    done = subprocess.run(
        [CLIENT, "--vault-id", "nowhere"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"},
        check=False,
    )
    assert done.returncode == vault.NO_SUCH_PASSWORD
    assert done.stdout == ""
    assert "ALGOSAT_VAULT_PASSWORD_NOWHERE" in done.stderr


def test_diff_without_the_password_shows_the_encrypted_text(nowhere: Path) -> None:
    file = nowhere / "vault.yml"
    file.write_text("$ANSIBLE_VAULT;1.2;AES256;qa\n6162\n")
    assert vault.textconv(file) == file.read_text()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name a temporary inventory whose password is in the environment variable."""
    name = f"test-of-the-vault-{os.getpid()}"  # these tests run in parallel
    monkeypatch.setenv(passwords.variable_of(name), "first")
    yield name
    shutil.rmtree(ROOT / "inventories" / name, ignore_errors=True)
    passwords.file_of(name).unlink(missing_ok=True)


@pytest.mark.slow
def test_new_vault_is_encrypted_and_can_be_opened(environment: str) -> None:
    vault.new(environment)
    assert vault.environment_of(vault.file_of(environment)) == environment
    entries = [it.split(":")[0] for it in vault.show(environment).splitlines() if it.startswith("vault_")]
    assert set(entries) == SECRETS
    with pytest.raises(Trouble, match="exists already"):
        vault.new(environment)


@pytest.mark.slow
@pytest.mark.parametrize("revoke", [False, True])
def test_rotation_puts_new_keys_first_and_keeps_the_rest(environment: str, revoke: bool) -> None:
    vault.new(environment)
    old = yaml.safe_load(vault.show(environment))
    for _ in range(2):
        before = yaml.safe_load(vault.show(environment))
        vault.rotate(environment, revoke=revoke)
    new = yaml.safe_load(vault.show(environment))
    assert new[vault.SIGNING] not in (before[vault.SIGNING], old[vault.SIGNING])
    assert new[vault.PREVIOUS] == ([] if revoke else [before[vault.SIGNING], old[vault.SIGNING]])
    assert new[vault.ENCRYPTION][1:] == before[vault.ENCRYPTION]
    assert new[vault.ENCRYPTION][2:] == old[vault.ENCRYPTION]
    assert new["vault_algosat_admin_password"] == old["vault_algosat_admin_password"]


@pytest.mark.slow
def test_rekeying_keeps_the_secrets_under_a_new_password(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.new(environment)
    plain = vault.show(environment)
    with pytest.raises(Trouble, match="would stay the password"):
        vault.rekey(environment)
    passwords.keep(environment)
    passwords.file_of(environment).write_text("first\n")
    monkeypatch.delenv(passwords.variable_of(environment))
    before = vault.file_of(environment).read_text()
    vault.rekey(environment)
    assert vault.file_of(environment).read_text() != before
    assert passwords.find(environment) != "first"
    assert vault.show(environment) == plain


@pytest.mark.slow
def test_failed_rekeying_keeps_a_matching_password_and_vault(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords.keep(environment, "first")
    monkeypatch.delenv(passwords.variable_of(environment))
    vault.new(environment)
    plain = vault.show(environment)

    def full(file: Path, text: str) -> Path:
        if file.name == "vault.yml":
            raise OSError("no space left on device")
        return beside(file, text)

    beside = passwords.beside

    with monkeypatch.context() as disk:
        disk.setattr(passwords, "beside", full)
        with pytest.raises(OSError, match="no space"):
            vault.rekey(environment)
    assert passwords.find(environment) == "first"
    assert vault.show(environment) == plain


def test_hook_rejects_a_plain_vault_and_accepts_an_encrypted_one(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, capture_output=True, check=True)

    git("init", "--quiet")
    file = tmp_path / "inventories" / "qa" / "group_vars" / "algosat" / "vault.yml"
    file.parent.mkdir(parents=True)
    file.write_text("vault_algosat_admin_password: hunter2\n")
    git("add", ".")
    refused = subprocess.run([HOOK], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "not encrypted: inventories/qa/group_vars/algosat/vault.yml" in refused.stderr
    file.write_text("$ANSIBLE_VAULT;1.2;AES256;qa\n6162\n")
    git("add", ".")
    assert subprocess.run([HOOK], cwd=tmp_path, check=False).returncode == 0
