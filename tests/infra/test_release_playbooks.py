"""Rules for every playbook: it validates the inventory first, hides secrets and renders deterministically."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.rendering import load
from tools.paths import ROOT

PLAYBOOKS = ROOT / "playbooks"
SECRET = re.compile(r"\{\{[^}]*(password|secret_key|encryption_keys)\b")
SECTIONS = ("tasks", "pre_tasks", "post_tasks", "block", "rescue", "always")


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


def tasks(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries or []:
        yield entry
        for section in SECTIONS:
            yield from tasks(entry.get(section, []))


def all_tasks() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in [*PLAYBOOKS.glob("*.yml"), *PLAYBOOKS.glob("tasks/*.yml"), *ROOT.glob("roles/*/tasks/*.yml")]:
        yield from ((named(file), task) for task in tasks(load(file)))


def test_site_is_the_machine_and_then_the_application() -> None:
    imported = [play["ansible.builtin.import_playbook"] for play in load(PLAYBOOKS / "site.yml")]
    assert imported == ["provision.yml", "deploy.yml"]


@pytest.mark.parametrize("name", ["bootstrap.yml", "provision.yml", "deploy.yml"])
def test_playbook_starts_by_validating_the_inventory(name: str) -> None:
    assert load(PLAYBOOKS / name)[0]["ansible.builtin.import_playbook"] == "validate.yml"


def test_validation_contacts_no_server() -> None:
    (play,) = load(PLAYBOOKS / "validate.yml")
    modules = {key for task in play["tasks"] for key in task} - {"name", "when"}
    assert play["gather_facts"] is False
    assert modules == {"validate_inventory", "ansible.builtin.assert", "ansible.builtin.set_fact"}


def test_task_with_a_secret_has_no_log() -> None:
    with_secret = [(where, task) for where, task in all_tasks() if SECRET.search(str(task))]
    assert with_secret
    assert [f"{where}: {task['name']}" for where, task in with_secret if not task.get("no_log")] == []


def test_files_with_secrets_are_hidden_in_the_diff() -> None:
    files = load(ROOT / "roles" / "algosat" / "vars" / "main.yml")["_algosat_configuration"]
    assert [it["path"] for it in files if not it.get("secret")] == []


def test_no_template_contains_a_date() -> None:
    dated = re.compile(r"ansible_date_time|now\(|strftime")
    templates = [*ROOT.glob("templates/**/*.j2"), *ROOT.glob("roles/*/templates/**/*.j2")]
    assert templates
    assert [named(it) for it in templates if dated.search(it.read_text())] == []
