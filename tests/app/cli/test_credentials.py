from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from algosat.cli import cli
from algosat.config.settings import Settings
from algosat.errors import ConfigurationError, InvalidBody
from algosat.security.keyring import Keyring
from tests.app.fakes import KEYRING

Run = Callable[..., Result]


@pytest.fixture
def run(directory: Path) -> Run:
    def run(*arguments: str, text: str | None = None) -> Result:
        return CliRunner().invoke(cli, ["--config-dir", str(directory), *arguments], input=text)

    return run


@pytest.fixture
def filled(run: Run) -> Run:
    assert run("credentials", "set", "--stdin", text='{"api_key": "the-key-of-the-broker"}').exit_code == 0
    return run


def add_key(directory: Path, *, keep: bool = True) -> str:
    """Put a new encryption key into the configuration and return its fingerprint."""
    file = directory / "security.yaml"
    data = yaml.safe_load(file.read_text())
    data["encryption"]["keys"] = [
        Fernet.generate_key().decode(),
        *(data["encryption"]["keys"] if keep else []),
    ]
    file.write_text(yaml.safe_dump(data))
    return Keyring([SecretStr(data["encryption"]["keys"][0])]).fingerprint()


def test_fields_are_asked_for_listed_masked_and_deleted(run: Run) -> None:
    asked = run("credentials", "set", "api_key", "pin", text="a-long-secret-value\n" * 2 + "1234\n" * 2)
    assert asked.exit_code == 0, asked.output
    assert "secret" not in asked.output
    listed = run("credentials", "list").output.splitlines()
    assert [line.split("\t")[:3] for line in listed] == [
        ["paper:paper", "api_key", KEYRING.fingerprint()],
        ["paper:paper", "pin", KEYRING.fingerprint()],
    ]
    for arguments in ((), ("--masked",)):
        assert run("credentials", "show", *arguments).output == "api_key\ta-****ue\npin\t****\n"
    assert run("credentials", "delete", "pin").output == "deleted pin of paper:paper\n"
    assert run("credentials", "show").output == "api_key\ta-****ue\n"
    assert run("credentials", "delete").exit_code == 0
    assert run("credentials", "list").output == ""


@pytest.mark.parametrize(
    "text",
    ["canary", "[1]", '{"a": 1}', '{"a": ""}', '{"canary b": "x"}', '{"a": "x"', '{"a": "x", "a": "y"}'],
)
def test_standard_input_that_is_invalid_changes_nothing(filled: Run, text: str) -> None:
    result = filled("credentials", "set", "--stdin", text=text)
    assert result.exit_code == 2
    assert "canary" not in result.output
    assert len(filled("credentials", "list").output.splitlines()) == 1


@pytest.mark.parametrize("arguments", [(), ("pin", "--stdin"), ("pin", "--expires", "tomorrow"), ("a b",)])
def test_wrong_usage_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("credentials", "set", *arguments, text="x\nx\n").exit_code == 2


def test_expired_token_is_not_listed(run: Run) -> None:
    set_ = run("credentials", "set", "--stdin", "--expires", "2099-01-01T00:00:00Z", text='{"token": "x"}')
    assert set_.exit_code == 0
    assert run("credentials", "list").output.endswith("2099-01-01T00:00:00+00:00\n")


def test_rotation_moves_the_secrets_to_the_new_key(filled: Run, directory: Path) -> None:
    new = add_key(directory)
    assert [line.split("\t")[::3] for line in filled("keyring", "status").output.splitlines()] == [
        [new, "encrypts"],
        [KEYRING.fingerprint(), "decrypts"],
    ]
    assert filled("keyring", "rotate").output == f"1 values encrypted with key {new} now\n"
    lines = [line.split("\t") for line in filled("keyring", "status").output.splitlines()]
    assert [(line[0], line[1]) for line in lines] == [(new, "1"), (KEYRING.fingerprint(), "0")]
    assert filled("credentials", "show").output == "api_key\tth****er\n"


def test_missing_key_is_named_by_status_and_by_every_use(filled: Run, directory: Path) -> None:
    add_key(directory, keep=False)
    status = filled("keyring", "status")
    assert status.exit_code == 1
    assert f"{KEYRING.fingerprint()}\t1\t" in status.output
    assert status.output.endswith("missing\n")
    shown = filled("credentials", "show")
    assert isinstance(shown.exception, ConfigurationError)
    assert KEYRING.fingerprint() in shown.exception.detail
    rotated = filled("keyring", "rotate")
    assert rotated.exit_code == 1
    assert KEYRING.fingerprint() in rotated.output


@pytest.mark.sqlite
def test_snapshot_says_which_key_it_needs(filled: Run, directory: Path, tmp_path: Path) -> None:
    snapshot = str(tmp_path / "copy.db")
    assert filled("store", "snapshot", snapshot).exit_code == 0
    assert filled("keyring", "check", snapshot).exit_code == 0
    add_key(directory, keep=False)
    refused = filled("keyring", "check", snapshot)
    assert refused.exit_code == 1
    assert f"1 secrets need the key {KEYRING.fingerprint()}" in refused.output
    assert "vault_algosat_encryption_keys" in refused.output


@pytest.mark.sqlite
def test_damaged_value_is_named_by_status(filled: Run, settings: Settings) -> None:
    path = make_url(settings.algosat.database.url.get_secret_value()).database
    assert path is not None
    with closing(sqlite3.connect(path)) as store:
        store.execute("UPDATE credentials SET value = 'garbage'")
        store.commit()
    status = filled("keyring", "status")
    assert status.exit_code == 1
    assert "damaged: credentials.value of paper, paper, api_key" in status.output


@pytest.mark.parametrize("value", ["the-key-\\ud800", "k" * 8193])
def test_value_that_cannot_be_stored_is_refused_without_showing_it(filled: Run, value: str) -> None:
    refused = filled("credentials", "set", "--stdin", text=f'{{"api_key": "{value}"}}')
    assert isinstance(refused.exception, InvalidBody)
    assert "api_key" in refused.exception.detail
    assert value[:8] not in f"{refused.output}{refused.exception.detail}"
    assert filled("credentials", "show").output == "api_key\tth****er\n"
