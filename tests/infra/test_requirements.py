"""requirements.yml against the collections that are installed and those that are used."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import yaml

from tools.paths import ROOT

QUALIFIED = re.compile(r"\b((?:ansible|community|containers)\.(?!builtin\b)[a-z]\w+)\.[a-z]\w+")


def required() -> dict[str, str]:
    listed = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    return {collection["name"]: str(collection["version"]) for collection in listed}


def installed(collection: str) -> str:
    beside_ansible = Path(str(metadata.distribution("ansible").locate_file("ansible_collections")))
    manifest = beside_ansible.joinpath(*collection.split("."), "MANIFEST.json")
    return str(json.loads(manifest.read_text())["collection_info"]["version"])


def test_pinned_collections_are_the_versions_that_ansible_brought() -> None:
    assert required() == {name: installed(name) for name in required()}


def test_every_collection_in_use_is_pinned_and_none_else() -> None:
    sources = [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/**/*.yml"), *ROOT.glob("roles/**/*.j2")]
    used = {name for source in sources for name in QUALIFIED.findall(source.read_text())}
    assert used == required().keys()


def test_ansible_package_is_pinned_by_an_exact_version() -> None:
    assert (
        f"ansible=={metadata.version('ansible')}" in (ROOT / "requirements-dev.in").read_text().splitlines()
    )
