"""Variables and keys that were renamed: the old name stops a run and names the new one."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.infra.rendering import ROLES, load
from tests.infra.test_specs import SHARED, options
from tools.paths import ROOT, VENV_BIN

FILE = ROOT / "playbooks" / "group_vars" / "all" / "renamed.yml"
VARIABLES: dict[str, str] = load(FILE)["renamed_variables"]
KEYS: dict[str, dict[str, str]] = load(FILE)["renamed_keys"]
OPTIONS = {name: spec for role in ROLES for name, spec in options(role).items()}


def test_every_new_name_exists_and_no_old_one_does() -> None:
    known = OPTIONS.keys() | SHARED
    assert {new.partition("[")[0] for new in VARIABLES.values()} - known == set()
    assert VARIABLES.keys() & known == set()


@pytest.mark.parametrize("name", KEYS)
def test_every_new_key_exists_and_no_old_one_does(name: str) -> None:
    known = OPTIONS[name]["options"].keys()
    assert set(KEYS[name].values()) - known == set()
    assert KEYS[name].keys() & known == set()


def test_no_file_uses_an_old_name() -> None:
    old = re.compile(rf"\b(?:{'|'.join(VARIABLES)})\b")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.splitlines() if not name.startswith("app/")]
    files = [it for it in files if it.is_file() and it not in (FILE, ROOT / "CHANGELOG.md", Path(__file__))]
    assert [f"{it}: {found[0]}" for it in files if (found := old.search(it.read_text(errors="ignore")))] == []


@pytest.mark.slow
def test_every_old_name_in_an_inventory_is_reported_with_its_new_name(tmp_path: Path) -> None:
    given: dict[str, Any] = dict.fromkeys(VARIABLES, "x")
    given |= {name: [dict.fromkeys(keys, "x")] for name, keys in KEYS.items()}
    hosts = {"algosat": {"hosts": {"trade.example.com": given}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(hosts))
    done = subprocess.run(
        [VENV_BIN / "ansible-playbook", "--inventory", tmp_path / "hosts.yml", "playbooks/validate.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "nothing was changed" in done.stdout
    for old, new in VARIABLES.items():
        assert f"{old}: renamed; write {new} instead" in done.stdout
    for name, keys in KEYS.items():
        for old, new in keys.items():
            assert f"{name}[].{old}: renamed; write {new} instead" in done.stdout
