from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from algosat.config.loader import load
from algosat.config.machine_rules import of_keys, of_machine
from tests.app.builders import algosat_data, security_data, write_configuration

ANOTHER_MACHINE = "192.0.2.7"  # TEST-NET-1, which no machine has


def problems_with(directory: Path, **differences: Any) -> dict[str, str]:
    """Return the problems of valid settings on this machine, by their keys."""
    settings = load(write_configuration(directory, algosat_data(directory, **differences)))
    return {problem.key: problem.text for problem in of_machine(settings)}


def test_machine_with_all_directories_has_no_problem(tmp_path: Path) -> None:
    assert problems_with(tmp_path, logging__file=str(tmp_path / "algosat.log")) == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("runtime_directory", "{}/missing"),
        ("data_directory", "{}/missing"),
        ("database__url", "sqlite:///{}/missing/algosat.db"),
        ("logging__file", "{}/missing/algosat.log"),
    ],
)
def test_directory_that_is_missing_is_named(tmp_path: Path, key: str, value: str) -> None:
    problems = problems_with(tmp_path, **{key: value.format(tmp_path)})
    assert list(problems) == [key.replace("__", ".")]
    assert f"there is no directory {tmp_path}/missing" in problems.popitem()[1]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("runtime_directory", "{}"),
        ("data_directory", "{}"),
        ("database__url", "sqlite:///{}/algosat.db"),
        ("logging__file", "{}/algosat.log"),
    ],
)
def test_directory_that_this_user_may_not_write_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: str
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    monkeypatch.setattr(os, "access", lambda path, _mode: path != closed)
    problems = problems_with(tmp_path, **{key: value.format(closed)})
    assert list(problems) == [key.replace("__", ".")]
    assert f"may not write to {closed}" in problems.popitem()[1]


def test_store_that_this_user_may_not_write_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(write_configuration(tmp_path, algosat_data(tmp_path)))
    store = tmp_path / "data" / "algosat.db"
    store.touch()
    monkeypatch.setattr(os, "access", lambda path, _mode: path != store)
    assert [(each.key, each.text) for each in of_machine(settings)] == [
        ("database.url", f"this user may not read and write {store}")
    ]


@pytest.mark.parametrize("key", ["database__url", "logging__file"])
def test_directory_in_place_of_a_file_is_named(tmp_path: Path, key: str) -> None:
    value = f"sqlite:///{tmp_path}" if key == "database__url" else str(tmp_path)
    assert problems_with(tmp_path, **{key: value}) == {key.replace("__", "."): f"{tmp_path} is a directory"}


def test_database_server_is_not_asked(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://algosat@{ANOTHER_MACHINE}/book"
    assert problems_with(tmp_path, database__url=url) == {}


@pytest.mark.parametrize(("address", "own"), [("127.0.0.1", True), (ANOTHER_MACHINE, False)])
def test_outbound_address_must_be_one_of_this_machine(tmp_path: Path, address: str, own: bool) -> None:
    problems = problems_with(tmp_path, accounts__0__outbound_address=address)
    assert (problems == {}) is own


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
def test_key_that_a_person_made_up_is_refused_where_real_orders_are_placed(
    tmp_path: Path, environment: str
) -> None:
    """The key of a well-known program's example configuration passed before."""
    made_up = "somethingRandomSomethingRandom123"
    data = algosat_data(tmp_path, environment=environment, security__secret_key=made_up)
    security = security_data(encryption__keys=[Fernet.generate_key().decode()])
    directory = write_configuration(tmp_path, data, security)
    found = [problem.key for problem in of_keys(load(directory))]
    assert found == ([] if environment == "development" else ["security.secret_key"])
