"""The modules of the package: their size, their first lines, and class names that are used twice."""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import Final

from tests.app.test_imports import imported, modules

_SMALL: Final = 40  # lines
# Small modules that one other module uses, and why each is a module of its own. At most five.
SMALL_ALL_THE_SAME: Final = {
    "domain.risk.exit_checks": "one of the lists of checks, named as the others are",
    "monitoring.exposition": "imports the exporter, which only the API needs",
}
# The same class name in two modules, each qualified by its module. At most five.
SAME_CLASS_NAMES: Final = {"Page", "Problem"}


def test_small_module_with_one_user_belongs_to_its_user() -> None:
    names = {name for name, _ in modules()}
    users = defaultdict(set)
    for name, tree in modules():
        for target in imported(tree):
            module = target if target in names else target.rpartition(".")[0]
            users[module].add(name)
    small = {name for name, tree in modules() if _lines(tree) < _SMALL and len(users[name] - {name}) == 1}
    packages = {name for name in names if any(other.startswith(f"{name}.") for other in names)}
    assert small - packages == set(SMALL_ALL_THE_SAME)
    assert len(SMALL_ALL_THE_SAME) <= 5


def test_engine_has_at_most_21_modules() -> None:
    assert len([name for name, _ in modules() if name.split(".")[0] == "engine"]) <= 21


def test_class_names_are_unique_in_the_package() -> None:
    places = defaultdict(set)
    for name, tree in modules():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(name)
    assert {name for name, found in places.items() if len(found) > 1} == SAME_CLASS_NAMES
    assert len(SAME_CLASS_NAMES) <= 5


def test_every_module_says_in_its_first_line_what_it_is() -> None:
    silent = [name for name, tree in modules() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def _lines(tree: ast.Module) -> int:
    """Return the number of the last line of code."""
    return max((node.end_lineno or 0 for node in tree.body), default=0)
