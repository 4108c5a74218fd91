"""Controller side of `config_files`: renders all templates, then runs the module once on the target."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

# Contains no date and no user, which would make every run report a change.
MANAGED = "Managed by Ansible: change the inventory, not this file."


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible is untyped
    """Action plugin that renders entries without `content` and passes all entries to the module."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task and return the result of the module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        arguments["files"] = [self._with_content(entry, variables) for entry in arguments.get("files", [])]
        result.update(
            self._execute_module(
                module_name="ansible.legacy.config_files", module_args=arguments, task_vars=variables
            )
        )
        return result

    def _with_content(self, entry: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entry with its content. The default template is the target's path plus `.j2`."""
        file = dict(entry)
        own = file.pop("variables", {})
        template = file.pop("template", f"{str(file['path']).lstrip('/')}.j2")
        if file.get("state", "file") == "file" and "content" not in file:
            file["content"] = self._render(template, {"ansible_managed": MANAGED, **variables, **own})
        return file

    def _render(self, template: str, variables: Mapping[str, Any]) -> str:
        source = Path(self._find_needle("templates", template))
        text = trust_as_template(self._loader.get_text_file_contents(str(source)))
        # Included templates are found beside the template, or below the root of its relative path.
        base = "" if Path(template).is_absolute() else str(source)[: -len(template)]
        search = [str(source.parent), *([base] if base else [])]
        templar = self._templar.copy_with_new_env(searchpath=search, available_variables=variables)
        return str(templar.template(text, escape_backslashes=False))
