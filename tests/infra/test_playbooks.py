"""Consistency of playbooks, roles and wiring."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.rendering import ROLES, load
from tools.paths import ROOT, VENV_BIN

PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
WIRING = load(ROOT / "playbooks" / "group_vars" / "all" / "wiring.yml")
# Roles specific to Algosat, and the role that other roles use.
OF_ALGOSAT = {"algosat", "backup"}
TOOLS = {"deadman"}
OF_THE_MACHINE = sorted(set(ROLES) - OF_ALGOSAT)
BUILTIN_OR_OURS = {"config_files", "validate_inventory"}
KEYWORDS = {
    "args", "become", "become_user", "block", "changed_when", "check_mode", "delegate_to", "diff",
    "environment", "failed_when", "ignore_unreachable", "loop", "loop_control", "name", "no_log", "notify",
    "register", "rescue", "tags", "throttle", "until", "retries", "delay", "vars", "when", "run_once",
    "always",
}  # fmt: skip


def plays() -> list[dict[str, Any]]:
    return [play for playbook in PLAYBOOKS for play in load(playbook) if "hosts" in play]


def tasks(role: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in sorted((ROOT / "roles" / role).glob("tasks/*.yml")):
        for entry in load(file) or []:
            found += [entry, *entry.get("block", []), *entry.get("rescue", []), *entry.get("always", [])]
    return found


def sources(role: str) -> list[Path]:
    found = (ROOT / "roles" / role).rglob("*")
    return [it for it in found if it.is_file() and it.suffix in (".yml", ".j2")]


def test_tag_of_every_role_is_its_name() -> None:
    listed = [entry for play in plays() for entry in play.get("roles", [])]
    assert listed
    assert [entry for entry in listed if entry.get("tags") != entry["role"]] == []


def test_every_role_is_in_the_site() -> None:
    listed = {entry["role"] for play in plays() for entry in play.get("roles", [])}
    assert listed | TOOLS == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_every_task_has_a_name_and_a_qualified_module(role: str) -> None:
    for task in tasks(role):
        assert re.match(r"[A-Z].+ .+[^.]$", task["name"]), task["name"]
        modules = set(task) - KEYWORDS
        assert all("." in module or module in BUILTIN_OR_OURS for module in modules), (task["name"], modules)


def test_no_task_notifies_a_handler() -> None:
    # After a killed run, no later run would call the handler. Use the `effects` of config_files.
    assert [task["name"] for role in ROLES for task in tasks(role) if "notify" in task] == []
    assert sorted((ROOT / "roles").glob("*/handlers")) == []


@pytest.mark.parametrize("role", OF_THE_MACHINE)
def test_machine_role_does_not_mention_algosat(role: str) -> None:
    assert [it for it in sources(role) if "algosat" in it.read_text().lower()] == []


@pytest.mark.parametrize("role", ROLES)
def test_role_uses_no_variable_of_another_role(role: str) -> None:
    others = "|".join(sorted(set(ROLES) - TOOLS - OF_ALGOSAT - {role}))
    foreign = re.compile(rf"{{[{{%][^}}]*(?<![\w.'/-])_*(?:{others})_[a-z]\w*(?!['\w])[^}}]*[%}}]}}")
    found = {
        str(file): match[0] for file in sources(role) for match in [foreign.search(file.read_text())] if match
    }
    assert found == {}


def test_wiring_sets_only_variables_of_roles() -> None:
    known = set()
    for role in ROLES:
        specs = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")
        known |= specs["argument_specs"]["main"].get("options", {}).keys()
    assert {name for name in WIRING if not name.startswith("_wiring_")} - known == set()


def test_every_preflight_can_run_before_the_first_change() -> None:
    files = sorted((ROOT / "roles").glob("*/tasks/preflight.yml"))
    checks = [
        task["ansible.builtin.assert"]
        for it in files
        for task in load(it)
        if "ansible.builtin.assert" in task
    ]
    assert len(checks) >= len(files) > 0
    assert [check for check in checks if not (isinstance(check["that"], list) and check["fail_msg"])] == []


@pytest.mark.parametrize("role", sorted(set(OF_THE_MACHINE) - TOOLS))
def test_every_file_of_a_role_is_a_template_at_its_targets_path(role: str) -> None:
    templates = ROOT / "roles" / role / "templates"
    tops = {it.relative_to(templates).parts[0] for it in templates.rglob("*.j2")}
    assert tops <= {"etc", "usr", "home"}


def test_plays_target_only_known_groups() -> None:
    named = {play["hosts"] for play in plays()}
    assert named <= {"algosat", "localhost", "bootstrap_needed"}, yaml.safe_dump(sorted(named))


def test_roles_run_on_one_server_at_a_time_and_stop_after_a_failure(tmp_path: Path) -> None:
    rolling = [play for play in plays() if "roles" in play]
    assert {play["hosts"] for play in rolling} == {"algosat"}
    for play in rolling:
        play.update(connection="ansible.builtin.local", become=False, roles=[], pre_tasks=[], tasks=[
            {"ansible.builtin.command": f"touch {tmp_path}/{{{{ inventory_hostname }}}}"},
            {"ansible.builtin.fail": {}, "when": "inventory_hostname == 'second'"},
        ])  # fmt: skip
        (tmp_path / "play.yml").write_text(json.dumps([play]))
        (tmp_path / "hosts").write_text("[algosat]\nfirst\nsecond\nthird\nfourth\n")
        for name in ("first", "second", "third", "fourth"):
            (tmp_path / name).unlink(missing_ok=True)
        command = [str(VENV_BIN / "ansible-playbook"), f"-i{tmp_path}/hosts", f"{tmp_path}/play.yml"]
        python = f"-eansible_python_interpreter={sys.executable}"
        done = subprocess.run([*command, python], capture_output=True, text=True, check=False)
        reached = {it.name for it in tmp_path.iterdir()} - {"hosts", "play.yml"}
        assert (done.returncode != 0, reached) == (True, {"first", "second"}), done.stdout
