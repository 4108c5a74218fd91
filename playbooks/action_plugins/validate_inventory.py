"""Inventory validation on the controller, without contacting a server."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleUndefinedVariable
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

MANAGED = "Rendered on the controller for validation."
CRASH_LINES = 5  # output lines to report if `algosat config check` crashes
MISSPELT_PREFIX = (
    0.8  # how close a variable must be to a role's to count as misspelt: it may be the user's own
)
EXAMPLE = "example"  # part of every value in the example vaults
ENTRY = re.compile(
    r"^(?P<indent> *)(?P<key>\w+):"
    r"(?: \{\{ (?:\[\w+\] \| product\()?(?P<variable>\w+)(?:\).*)? \| to_json \}\})?$"
)
PROBLEM = re.compile(r"^ *- (?P<file>[\w.]+): (?P<key>[\w.]+): ")


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible is untyped
    """Validate the variables with the argument specs, the preflight checks and the app itself."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Report all problems in one message, each with the name of its variable."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        project = Path(self._task.args["project"])
        given = dict(task_vars or {})
        given.pop("ansible_facts", None)  # each role checks the values that depend on facts
        specs = self._specs(project)
        variables = {**self._defaults(project), **given, "ansible_managed": MANAGED}
        self._values = self._templar.copy_with_new_env(available_variables=variables)
        problems = [
            *self._spec_problems(specs, variables),
            *self._renamed_names(given),
            *self._unknown_names(specs, project, given),
            *self._example_secrets(variables),
        ]
        problems = problems or list(self._preflight_problems(project))
        problems = problems or list(self._app_problems(project))
        if problems:
            result.update(failed=True, msg=_message(problems))
        return result

    def _specs(self, project: Path) -> dict[str, dict[str, Any]]:
        files = sorted((project / "roles").glob("*/meta/argument_specs.yml"))
        return {it.parts[-3]: self._load(it)["argument_specs"]["main"].get("options", {}) for it in files}

    def _defaults(self, project: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for kind in ("vars", "defaults"):
            for file in sorted((project / "roles").glob(f"*/{kind}/main.yml")):
                found |= self._load(file) or {}
        return found

    def _load(self, file: Path) -> dict[str, Any]:
        loaded: dict[str, Any] = self._loader.load_from_file(str(file), trusted_as_template=True)
        return loaded

    def _spec_problems(
        self, specs: Mapping[str, Mapping[str, Any]], variables: Mapping[str, Any]
    ) -> Iterator[str]:
        for options in specs.values():
            values = {}
            for name in options.keys() & variables.keys():
                try:
                    values[name] = self._values.template(variables[name])
                except AnsibleUndefinedVariable as error:
                    if "ansible_facts" not in str(error):
                        yield f"{name}: {error}"
            known = {name: spec for name, spec in options.items() if name in values or name not in variables}
            validation = ArgumentSpecValidator(known).validate(values, validate_role_argument_spec=True)
            yield from validation.error_messages

    def _preflight_problems(self, project: Path) -> Iterator[str]:
        """Yield the failed preflight asserts of the roles. Conditions that need facts count as met."""
        for file in sorted((project / "roles").glob("*/tasks/preflight.yml")):
            for task in self._load(file):
                check = task.get("ansible.builtin.assert", {})
                try:
                    met = all(self._values.evaluate_conditional(it) for it in check.get("that", []))
                except AnsibleUndefinedVariable as error:
                    met = "ansible_facts" in str(error)
                if not met:
                    yield str(self._values.template(check["fail_msg"])).strip()

    def _unknown_names(
        self, specs: Mapping[str, Mapping[str, Any]], project: Path, given: Mapping[str, Any]
    ) -> Iterator[str]:
        known = {name for options in specs.values() for name in options}
        for file in (project / "playbooks" / "group_vars" / "all").glob("*.yml"):
            known |= (self._load(file) or {}).keys()
        roles = list(specs)
        for name in sorted(given.keys() - known - given["renamed_variables"].keys()):
            prefix = name.partition("_")[0]
            close = get_close_matches(name, known, n=1, cutoff=0.6 if prefix in roles else MISSPELT_PREFIX)
            if prefix in roles:
                yield f"{name}: unknown variable" + (f"; did you mean {close[0]}?" if close else "")
            elif close and get_close_matches(prefix, roles, n=1, cutoff=MISSPELT_PREFIX):
                yield f"{name}: unknown variable; did you mean {close[0]}?"

    def _renamed_names(self, given: Mapping[str, Any]) -> Iterator[str]:
        """Yield one problem for each variable or key that the inventory still gives under its old name."""
        for old, new in given["renamed_variables"].items():
            if old in given:
                yield f"{old}: renamed; write {new} instead"
        for name, keys in given["renamed_keys"].items():
            with suppress(AnsibleUndefinedVariable):  # its value depends on facts: the role's specs check it
                entries = self._values.template(given.get(name, []))
                used = {key for entry in entries if isinstance(entry, Mapping) for key in entry}
                for old in sorted(keys.keys() & used):
                    yield f"{name}[].{old}: renamed; write {keys[old]} instead"

    def _example_secrets(self, variables: Mapping[str, Any]) -> Iterator[str]:
        if self._values.template(variables.get("algosat_environment", "")) != "production":
            return
        for name in sorted(it for it in variables if it.startswith("vault_")):
            value = self._values.template(variables[name])
            secrets = value if isinstance(value, list) else [value]
            if any(EXAMPLE in str(secret) for secret in secrets):
                yield f"{name}: is a public example secret; set your own with `make vault-edit`"

    def _app_problems(self, project: Path) -> Iterator[str]:
        templates = sorted((project / "templates" / "etc" / "algosat").glob("*.yaml.j2"))
        variables = {template.stem: _variables_by_key(template.read_text()) for template in templates}
        program = Path(sys.executable).with_name("algosat")
        with tempfile.TemporaryDirectory() as directory:
            for template in templates:
                rendered = Path(directory) / template.stem
                rendered.touch(mode=0o600)
                rendered.write_text(self._render(template))
            done = subprocess.run(  # noqa: S603 - the project's own program
                [program, "config", "check", "--elsewhere", "--config-dir", directory],
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode != 0:
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
            found = [_with_variable(line.strip(), variables) for line in lines if PROBLEM.match(line)]
            yield from found or ["\n".join(lines[-CRASH_LINES:])]

    def _render(self, template: Path) -> str:
        text = trust_as_template(template.read_text())
        try:
            return str(self._values.template(text, escape_backslashes=False))
        except AnsibleUndefinedVariable as error:
            raise AnsibleActionFail(f"{template.name}: {error}. Nothing was changed.") from error


def _variables_by_key(template: str) -> dict[str, str]:
    """Map each dotted key of a settings template to the variable that sets it."""
    section, found = "", {}
    for line in template.splitlines():
        entry = ENTRY.match(line)
        if entry and entry["variable"]:
            found[f"{section}.{entry['key']}" if entry["indent"] else entry["key"]] = entry["variable"]
        elif entry:
            section = entry["key"]
    return found


def _with_variable(line: str, variables: Mapping[str, Mapping[str, str]]) -> str:
    """Prefix a problem that the app reports with the variable to correct."""
    problem = PROBLEM.match(line)
    if not problem:
        return line
    by_key = variables.get(problem["file"], {})
    parts = problem["key"].split(".")
    keys = (".".join(parts[:number]) for number in range(len(parts), 0, -1))
    variable = next((by_key[it] for it in keys if it in by_key), None)
    return f"{variable}: {line.removeprefix('- ')}" if variable else line


def _message(problems: list[str]) -> str:
    listed = "\n".join(f"  - {problem.removeprefix('- ')}" for problem in problems)
    return f"The inventory is invalid. Correct these values; nothing was changed.\n{listed}"
