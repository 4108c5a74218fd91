"""The application's declared dependencies against the packages it imports."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.paths import ROOT

APP = ROOT / "app"
# Declared, and imported by no module of ours.
NOT_IMPORTED: dict[str, str] = {}


def declared() -> set[str]:
    project = tomllib.loads((APP / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}


def imported() -> set[str]:
    """The distributions whose modules the package imports, at the top of a file or within a function."""
    brings = metadata.packages_distributions()
    modules = {
        name for file in (APP / "algosat").rglob("*.py") for name in imports(ast.parse(file.read_text()))
    }
    foreign = modules - sys.stdlib_module_names - {"algosat", "_typeshed"}
    return {canonicalize_name(brings[name][0]) for name in foreign}


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


def test_every_import_is_declared() -> None:
    assert imported() - declared() == set()


def test_every_dependency_is_imported_or_exempt_for_a_reason() -> None:
    assert declared() - imported() == NOT_IMPORTED.keys()
