"""What is wrong with an inventory, found on the controller: no server is asked, nothing is changed."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleUndefinedVariable
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

MANAGED = "Rendered on the controller, to be judged."
LAST_WORDS = 5  # lines of a program that did not judge, but broke
EXAMPLE = "example"  # stands in every value of the example vaults
ENTRY = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?: \{\{ (?P<variable>\w+) \| to_json \}\})?$")
PROBLEM = re.compile(r"^ *- (?P<file>[\w.]+): (?P<key>[\w.]+): ")


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible is untyped
    """Holds every variable against the specs of the roles, and shows the settings to the app itself."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """All problems in one message, each with the variable it lies in."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        project = Path(self._task.args["project"])
        given = dict(task_vars or {})
        given.pop("ansible_facts", None)  # facts come later: what hangs on them is judged by its role
        specs = self._specs(project)
        variables = {**self._defaults(project), **given, "ansible_managed": MANAGED}
        self._values = self._templar.copy_with_new_env(available_variables=variables)
        problems = [
            *self._against_specs(specs, variables),
            *self._unknown(specs, project, given),
            *self._examples(variables),
        ]
        problems = problems or list(self._against_preflights(project))
        problems = problems or list(self._against_the_app(project))
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

    def _against_specs(
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
            verdict = ArgumentSpecValidator(known).validate(values, validate_role_argument_spec=True)
            yield from verdict.error_messages

    def _against_preflights(self, project: Path) -> Iterator[str]:
        """What each role checks first, as far as it needs no facts; the role looks once more in its turn."""
        for file in sorted((project / "roles").glob("*/tasks/preflight.yml")):
            for task in self._load(file):
                claims = task.get("ansible.builtin.assert", {})
                try:
                    holds = all(self._values.evaluate_conditional(claim) for claim in claims.get("that", []))
                except AnsibleUndefinedVariable as error:
                    holds = "ansible_facts" in str(error)
                if not holds:
                    yield str(self._values.template(claims["fail_msg"])).strip()

    def _unknown(
        self, specs: Mapping[str, Mapping[str, Any]], project: Path, given: Mapping[str, Any]
    ) -> Iterator[str]:
        known = {name for options in specs.values() for name in options}
        for file in (project / "playbooks" / "group_vars" / "all").glob("*.yml"):
            known |= (self._load(file) or {}).keys()
        for name in sorted(given.keys() - known):
            if name.startswith(tuple(f"{role}_" for role in specs)):
                close = get_close_matches(name, known, n=1)
                yield f"{name}: no role knows it" + (f"; did you mean {close[0]}?" if close else "")

    def _examples(self, variables: Mapping[str, Any]) -> Iterator[str]:
        if self._values.template(variables.get("algosat_environment", "")) != "production":
            return
        for name in sorted(it for it in variables if it.startswith("vault_")):
            value = self._values.template(variables[name])
            secrets = value if isinstance(value, list) else [value]
            if any(EXAMPLE in str(secret) for secret in secrets):
                yield f"{name}: holds the example of the repository, which everybody knows; `make vault-edit`"

    def _against_the_app(self, project: Path) -> Iterator[str]:
        templates = sorted((project / "templates" / "etc" / "algosat").glob("*.yaml.j2"))
        owners = {template.stem: _owners(template.read_text()) for template in templates}
        with tempfile.TemporaryDirectory() as directory:
            for template in templates:
                rendered = Path(directory) / template.stem
                rendered.touch(mode=0o600)
                rendered.write_text(self._render(template))
            done = subprocess.run(  # noqa: S603 - the project's own program
                [Path(sys.executable).with_name("algosat"), "config", "check", "--config-dir", directory],
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode != 0:
            words = done.stderr.strip() or done.stdout.strip()
            found = [_with_owner(line.strip(), owners) for line in words.splitlines() if PROBLEM.match(line)]
            yield from found or ["\n".join(words.splitlines()[-LAST_WORDS:])]

    def _render(self, template: Path) -> str:
        text = trust_as_template(template.read_text())
        try:
            return str(self._values.template(text, escape_backslashes=False))
        except AnsibleUndefinedVariable as error:
            raise AnsibleActionFail(f"{template.name}: {error}; nothing was changed") from error


def _owners(template: str) -> dict[str, str]:
    """Dotted key to the variable that the template puts there."""
    section, found = "", {}
    for line in template.splitlines():
        entry = ENTRY.match(line)
        if entry and entry["variable"]:
            found[f"{section}.{entry['key']}" if entry["indent"] else entry["key"]] = entry["variable"]
        elif entry:
            section = entry["key"]
    return found


def _with_owner(line: str, owners: Mapping[str, Mapping[str, str]]) -> str:
    problem = PROBLEM.match(line)
    if not problem:
        return line
    key = problem["key"]
    variable = owners.get(problem["file"], {})
    owner = next((variable[it] for it in (key, key.rpartition(".")[0]) if it in variable), None)
    return f"{owner}: {line.removeprefix('- ')}" if owner else line


def _message(problems: list[str]) -> str:
    listed = "\n".join(f"  - {problem.removeprefix('- ')}" for problem in problems)
    return f"The inventory is wrong; nothing was changed.\n{listed}"
