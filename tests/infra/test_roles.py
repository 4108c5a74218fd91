"""Every role has the same structure: its steps, in the same order, and task names by verb and object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.rendering import ROLES, load
from tools.paths import ROOT

STEPS = ["preflight.yml", "install.yml", "configure.yml", "run.yml"]
# fail2ban must not start without its list of ignored addresses, and its package starts it.
OTHER_ORDER = {"fail2ban": ["preflight.yml", "configure.yml", "install.yml", "run.yml"]}
# Used by other roles and playbooks, not by the site: its steps are those of a change.
TOOLS = {"deadman"}
# Entry points beside main.yml, each called by a playbook.
ENTRIES = {"tls": {"acme.yml"}}
CHANGING = {"Assert", "Install", "Configure", "Ensure", "Remove"}
OTHERS = {"Read", "Report", "Build", "Copy"}


def steps(role: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(ROOT / "roles" / role / "tasks" / "main.yml")
    return found


def file_of(step: dict[str, Any]) -> str:
    return str(step.get("ansible.builtin.import_tasks") or step.get("ansible.builtin.include_tasks"))


def tasks(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        yield entry
        for section in ("block", "rescue", "always"):
            yield from tasks(entry.get(section, []))


@pytest.mark.parametrize("role", sorted(set(ROLES) - TOOLS))
def test_role_imports_its_steps_in_the_order_of_all_roles(role: str) -> None:
    files = [file_of(step) for step in steps(role)]
    order = OTHER_ORDER.get(role, STEPS)
    assert [it for it in files if it != "absent.yml"] == [it for it in order if it in files]
    present = {it.name for it in (ROOT / "roles" / role / "tasks").iterdir()}
    assert present == {"main.yml", *files, *ENTRIES.get(role, set())}


@pytest.mark.parametrize("role", ROLES)
def test_step_that_removes_a_feature_runs_only_if_it_is_disabled(role: str) -> None:
    absent = [step for step in steps(role) if file_of(step) == "absent.yml"]
    assert [step["when"] for step in absent] == [f"not {role}_enabled | bool"] * len(absent)


@pytest.mark.parametrize("role", ROLES)
def test_task_name_begins_with_a_verb_of_the_list(role: str) -> None:
    files = sorted((ROOT / "roles" / role / "tasks").glob("*.yml"))
    names = [task["name"] for file in files for task in tasks(load(file))]
    assert [name for name in names if name.split()[0] not in CHANGING | OTHERS] == []


@pytest.mark.parametrize("role", ROLES)
def test_task_that_only_reads_or_reports_changes_nothing(role: str) -> None:
    files = sorted((ROOT / "roles" / role / "tasks").glob("*.yml"))
    found = [task for file in files for task in tasks(load(file)) if task["name"].split()[0] == "Read"]
    assert [it["name"] for it in found if not reads(it)] == []


def reads(task: dict[str, Any]) -> bool:
    return (
        task.get("changed_when") is False or task.get("check_mode") is True or "ansible.builtin.stat" in task
    )
