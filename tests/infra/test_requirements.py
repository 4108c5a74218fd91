"""requirements.yml pins the installed collections that playbooks and roles use."""

from __future__ import annotations

import ast
import json
import re
import sys
from importlib import metadata
from pathlib import Path

import yaml
from packaging.utils import canonicalize_name

from tools.paths import ROOT

QUALIFIED = re.compile(r"\b((?:ansible|community|containers)\.(?!builtin\b)[a-z]\w+)\.[a-z]\w+")


def required() -> dict[str, str]:
    listed = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    return {collection["name"]: str(collection["version"]) for collection in listed}


def installed(collection: str) -> str:
    collections = Path(str(metadata.distribution("ansible").locate_file("ansible_collections")))
    manifest = collections.joinpath(*collection.split("."), "MANIFEST.json")
    return str(json.loads(manifest.read_text())["collection_info"]["version"])


def test_pinned_collections_have_the_versions_of_the_ansible_package() -> None:
    assert required() == {name: installed(name) for name in required()}


def test_exactly_the_used_collections_are_pinned() -> None:
    sources = [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/**/*.yml"), *ROOT.glob("roles/**/*.j2")]
    used = {name for source in sources for name in QUALIFIED.findall(source.read_text())}
    assert used == required().keys()


def test_ansible_package_is_pinned_by_an_exact_version() -> None:
    assert (
        f"ansible=={metadata.version('ansible')}" in (ROOT / "requirements-ops.in").read_text().splitlines()
    )


def imported_by(module: str) -> set[str]:
    """Return the full names of the modules that a module of tools/ imports."""
    names = set[str]()
    for node in ast.walk(ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "tools":
            names |= {f"tools.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_verbs_that_operate_servers_import_only_what_they_install() -> None:
    """`make up` installs fewer packages than the tests: a missing one would fail only in a new checkout."""
    verbs = re.findall(
        r"^[a-z-]+: ops .*\n\t@\$\(VERB\)\.(\w+)", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    seen, foreign, following = set[str](), set[str](), {f"tools.{verb}" for verb in verbs}
    while following - seen:
        module = (following - seen).pop()
        seen.add(module)
        found = imported_by(module)
        following |= {name for name in found if name.startswith("tools.")}
        foreign |= {name.partition(".")[0] for name in found} - sys.stdlib_module_names - {"tools"}
    locks = (ROOT / "requirements-ops.lock", ROOT / "app" / "requirements.lock")
    locked = {name for lock in locks for name in re.findall(r"^(\S+)==", lock.read_text(), re.MULTILINE)}
    brings = metadata.packages_distributions()
    assert {"tools.up", "tools.serve", "tools.vault"} <= seen
    assert {canonicalize_name(brings[name][0]) for name in foreign} - locked == set()
