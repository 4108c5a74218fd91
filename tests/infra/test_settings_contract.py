"""Rendered settings files have exactly the keys that the app accepts."""

import re
import shutil
from pathlib import Path

import pytest

from algosat.config.loader import load as load_settings
from algosat.config.overrides import KEYS
from algosat.errors import ConfigurationError
from tests.infra.rendering import ENVIRONMENTS, server
from tools.paths import ROOT

TEMPLATES = ROOT / "templates" / "etc" / "algosat"
FILES = {"algosat": "algosat.yaml.j2", "security": "security.yaml.j2"}
# The app rejects the public secrets of the example inventories. All other values must be valid.
EXAMPLE_SECRETS = {"security.secret_key", "encryption.keys.0"}
# `accounts` is completed by default values first.
SCALAR = re.compile(
    r"^ *(?P<key>\w+): \{\{ (?:\[\w+\] \| product\()?(?P<variable>\w+)(?:\).*)? \| to_json \}\}$"
)


def rendered(environment: str, directory: Path) -> Path:
    for template in FILES.values():
        file = directory / template.removesuffix(".j2")
        file.touch(mode=0o640)
        file.write_text(server(environment).render(TEMPLATES / template))
    return directory


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_example_inventory_is_valid_except_for_its_secrets(environment: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(rendered(environment, tmp_path))
    assert {problem["key"] for problem in raised.value.errors} == EXAMPLE_SECRETS


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_example_inventory_with_real_secrets_loads(environment: str, tmp_path: Path) -> None:
    rendered(environment, tmp_path)
    for file, own in (
        ("algosat.yaml", "Yq7ZrK0sVb3mWd9xJt5nLg2hPf8cRe4u"),
        ("security.yaml", "ntqSB7xAP4yL1m8jYkR0vWzUeHdCfGo2b9KTs6QMXiE="),
    ):
        text = (tmp_path / file).read_text()
        (tmp_path / file).write_text(re.sub(r'"example-only-[^"]*"', f'"{own}"', text))
    settings = load_settings(tmp_path)
    assert settings.algosat.environment == environment


@pytest.mark.parametrize(("root", "template"), FILES.items())
def test_each_key_is_the_json_scalar_of_its_inventory_variable(root: str, template: str) -> None:
    lines = (TEMPLATES / template).read_text().splitlines()
    scalars = [match for line in lines if (match := SCALAR.match(line))]
    expected = {(key.name, key.inventory_variable) for key in KEYS.values() if key.path[0] == root}
    assert {(it["key"], it["variable"]) for it in scalars} == expected
    others = [line for line in lines if not SCALAR.match(line)]
    assert all(re.fullmatch(r"\w+:|# \{\{ ansible_managed \}\}", line) for line in others)


def test_unknown_key_is_rejected(tmp_path: Path) -> None:
    rendered("staging", tmp_path)
    with (tmp_path / "algosat.yaml").open("a") as file:
        file.write("colour: blue\n")
    with pytest.raises(ConfigurationError, match=re.escape("algosat.yaml: colour: is not a known setting")):
        load_settings(tmp_path)


def test_missing_key_is_reported(tmp_path: Path) -> None:
    rendered("staging", tmp_path)
    shutil.copy(tmp_path / "algosat.yaml", tmp_path / "before")
    kept = [it for it in (tmp_path / "before").read_text().splitlines() if "max_daily_loss" not in it]
    (tmp_path / "algosat.yaml").write_text("\n".join(kept))
    with pytest.raises(ConfigurationError, match=re.escape("risk.max_daily_loss: is missing")):
        load_settings(tmp_path)
