"""How `make test` and `make prove` divide tests/operations between servers
and which tasks they kill runs at.
"""

from __future__ import annotations

from itertools import islice

import pytest
import yaml

from tests.operations.division import FILES, is_left_out, kills
from tools.paths import ROOT

FOUND = {file.name for file in (ROOT / "tests" / "operations").glob("test_*.py")}
SERVERS = yaml.safe_load((ROOT / "molecule" / "operations" / "inventory" / "hosts.yml").read_text())[
    "algosat"
]["hosts"]


@pytest.fixture(autouse=True)
def as_in_make_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPERATIONS", raising=False)


@pytest.mark.parametrize("file", sorted(FOUND))
def test_each_file_runs_on_exactly_one_server(file: str) -> None:
    assert [is_left_out(file, [f"ansible://{server}"]) for server in SERVERS].count(False) == 1


def test_divided_files_exist() -> None:
    assert {file for files in FILES.values() for file in files} == FOUND


def test_proof_runs_every_file_on_every_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATIONS", "all")
    assert not any(is_left_out(file, [server]) for file in FOUND for server in SERVERS)


def test_server_of_another_name_runs_every_file() -> None:
    assert not any(is_left_out(file, ["ssh://operator@203.0.113.5"]) for file in FOUND)


ROLES = ("ssh", "ufw", "users")


def first_kills(commit: str, role: str) -> list[int]:
    return list(islice(kills(commit, ROLES, role), 4))


@pytest.mark.parametrize("role", ROLES)
def test_three_commits_kill_at_every_task(role: str) -> None:
    kills_of = [first_kills(commit, role) for commit in ("a0", "a1", "a2")]
    assert sorted(it for numbers in kills_of for it in numbers) == list(range(1, 13))


def test_commit_kills_the_roles_at_different_tasks() -> None:
    assert sorted(first_kills("a0", role)[0] for role in ROLES) == [1, 2, 3]


def test_proof_kills_at_every_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATIONS", "all")
    assert [first_kills("a1", role) for role in ROLES] == [[1, 2, 3, 4]] * 3
