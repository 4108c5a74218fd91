"""README.md of each role: description and variables from its specs, examples and warnings written by hand.

`make docs` writes the generated parts and keeps the text between "## Example" and "## Variables". The specs
are what a run is validated against, so the page cannot name a variable that does not exist.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tools.paths import ROOT
from tools.say import note

ROLES = ROOT / "roles"
LONG = 48
BY_HAND = re.compile(r"^## Example$.*?(?=^## Variables$)", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Write the page of every role."""
    for role in roles():
        page(role).write_text(text(role))
        note(str(page(role).relative_to(ROOT)))


def roles() -> list[str]:
    """Return the names of all roles that have specs."""
    return sorted(it.parts[-3] for it in ROLES.glob("*/meta/argument_specs.yml"))


def page(role: str) -> Path:
    """Return the path of the role's page."""
    return ROLES / role / "README.md"


def text(role: str) -> str:
    """Return the text that the role's page must have."""
    entry = _load(role, "meta/argument_specs.yml")["argument_specs"]["main"]
    defaults = _load(role, "defaults/main.yml")
    return "\n".join(
        [
            f"# {role}",
            "",
            f"{entry['short_description']}.",
            "",
            *(f"{paragraph}\n" for paragraph in _paragraphs(entry.get("description", []))),
            *_by_hand(role),
            "## Variables",
            "",
            "| variable | type | default | meaning |",
            "|---|---|---|---|",
            *_rows(entry.get("options") or {}, defaults),
            "",
            "_`make docs` writes the description and the table from `meta/` and `defaults/`._",
            "",
        ]
    )


def _by_hand(role: str) -> list[str]:
    found = BY_HAND.search(page(role).read_text()) if page(role).exists() else None
    return [f"{found[0].strip()}\n"] if found else []


def _load(role: str, file: str) -> dict[str, Any]:
    path = ROLES / role / file
    return (yaml.safe_load(path.read_text()) if path.exists() else None) or {}


def _paragraphs(description: str | list[str]) -> list[str]:
    return [description] if isinstance(description, str) else description


def _rows(options: dict[str, Any], defaults: dict[str, Any]) -> Iterator[str]:
    for name, spec in options.items():
        yield _row(f"`{name}`", spec, _default(name, spec, defaults))
        for key, inner in spec.get("options", {}).items():
            yield _row(f"`{name}[].{key}`", inner, "required" if inner.get("required") else "")


def _row(name: str, spec: dict[str, Any], default: str) -> str:
    meaning = " ".join(_paragraphs(spec["description"]))
    if "choices" in spec:
        meaning += f" One of {', '.join(f'`{choice}`' for choice in spec['choices'])}."
    cells = (name, _kind(spec), default, meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _kind(spec: dict[str, Any]) -> str:
    kind = str(spec.get("type", "str"))
    return f"{kind} of {spec['elements']}" if "elements" in spec else kind


def _default(name: str, spec: dict[str, Any], defaults: dict[str, Any]) -> str:
    if name not in defaults:
        return "required" if spec.get("required") else ""
    value = json.dumps(defaults[name], ensure_ascii=False)
    return f"`{value}`" if len(value) <= LONG else "see defaults/main.yml"


if __name__ == "__main__":
    main()
