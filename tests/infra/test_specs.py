"""The argument specs and the defaults of each role agree."""

import re
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests.infra.rendering import ROLES, load, server
from tools.paths import ROOT

WITH_SPECS = tuple(it for it in ROLES if (ROOT / "roles" / it / "meta" / "argument_specs.yml").exists())
SHARED = {
    name for file in (ROOT / "playbooks" / "group_vars" / "all").glob("*.yml") for name in load(file) or {}
}
SECRET = re.compile(r"password|secret_key|encryption_keys|token$")


def options(role: str) -> dict[str, dict[str, Any]]:
    entry = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]
    return entry.get("options") or {}


def defaults(role: str) -> dict[str, Any]:
    return load(ROOT / "roles" / role / "defaults" / "main.yml") or {}


def shown_without_default(role: str) -> set[str]:
    """Return the variables that the defaults show only in a comment, because they have no default."""
    file = ROOT / "roles" / role / "defaults" / "main.yml"
    return set(re.findall(rf"^# ({role}_\w+):", file.read_text(), re.MULTILINE)) if file.exists() else set()


@pytest.mark.parametrize("role", ROLES)
def test_role_has_specs(role: str) -> None:
    assert role in WITH_SPECS


@pytest.mark.parametrize("role", WITH_SPECS)
def test_specs_and_defaults_have_the_same_variables(role: str) -> None:
    known = defaults(role).keys() | shown_without_default(role)
    assert known - options(role).keys() == set()
    assert options(role).keys() - known - SHARED == set()


@pytest.mark.parametrize("role", WITH_SPECS)
def test_variable_is_required_only_if_it_has_no_default(role: str) -> None:
    required = {name for name, spec in options(role).items() if spec.get("required")}
    assert required & defaults(role).keys() == set()


@pytest.mark.parametrize("role", WITH_SPECS)
def test_no_spec_repeats_a_default(role: str) -> None:
    assert [name for name, spec in options(role).items() if "default" in spec] == []


@pytest.mark.parametrize("role", WITH_SPECS)
def test_every_variable_has_the_role_prefix_and_a_description(role: str) -> None:
    assert [name for name in options(role) if not name.startswith(f"{role}_")] == []
    assert [name for name, spec in options(role).items() if not spec.get("description")] == []


@pytest.mark.parametrize("role", WITH_SPECS)
def test_defaults_have_the_types_of_the_specs(role: str) -> None:
    values = {name: server("staging").value(name) for name in defaults(role)}
    specs = {name: options(role)[name] for name in values}
    result = ArgumentSpecValidator(specs).validate(values, validate_role_argument_spec=True)
    assert result.error_messages == []


def test_secrets_are_plain_strings_that_no_type_error_prints() -> None:
    found = [spec for role in WITH_SPECS for name, spec in options(role).items() if SECRET.search(name)]
    assert found
    assert [
        spec for spec in found if "choices" in spec or "str" not in (spec["type"], spec.get("elements"))
    ] == []
