from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tools import licences, sbom
from tools.paths import ROOT
from tools.wheels import digest

CLASSIFIED = "Classifier: License :: OSI Approved :: MIT License\nClassifier: Programming Language :: Python"


def wheel(directory: Path, name: str, metadata: str) -> Path:
    file = directory / f"{name}-1.2-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(
            f"{name}-1.2.dist-info/METADATA", f"Name: {name}\nVersion: 1.2\n{metadata}\n\nText\n"
        )
        archive.writestr(f"{name}/_vendor/other-3.dist-info/METADATA", "Name: other\nVersion: 3\n")
    return file


def test_bill_of_materials_lists_each_package_with_digest_and_licence(tmp_path: Path) -> None:
    own = wheel(tmp_path, "algosat", "License-Expression: Apache-2.0")
    others = [
        wheel(tmp_path, "One", "License-Expression: MPL-2.0 AND (Apache-2.0 OR MIT)"),
        wheel(tmp_path, "two", CLASSIFIED),
        wheel(tmp_path, "three", ""),
    ]
    text = sbom.of_release("0.1.0-abc", own, others, 1_577_836_800)
    assert text == sbom.of_release("0.1.0-abc", own, others, 1_577_836_800)
    found = json.loads(text)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.5")
    assert found["metadata"]["component"]["name"] == "algosat"
    packages = {it["name"]: it for it in found["components"]}
    assert packages.keys() == {"One", "two", "three"}
    assert packages["One"]["purl"] == "pkg:pypi/one@1.2"
    assert packages["One"]["hashes"] == [{"alg": "SHA-256", "content": digest(others[0])}]
    assert packages["One"]["licenses"] == [{"expression": "MPL-2.0 AND (Apache-2.0 OR MIT)"}]
    assert packages["two"]["licenses"] == [{"license": {"name": "MIT License"}}]
    assert packages["three"]["licenses"] == [{"license": {"name": "unknown"}}]


@pytest.mark.parametrize(
    ("licence", "accepted"),
    [
        ("MIT", True),
        ("MIT License", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("AGPL-3.0-or-later", False),
        ("GNU General Public License v3 (GPLv3)", False),
        ("BSD License AND GNU Affero General Public License v3", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_licence_is_accepted_if_its_expression_can_be_satisfied(licence: str, accepted: bool) -> None:
    assert licences.is_accepted(licence) is accepted


def test_every_shipped_package_has_an_accepted_licence() -> None:
    shipped = licences.shipped(ROOT / "app" / "requirements.lock")
    assert {"flask", "cryptography", "zxcvbn"} <= shipped.keys()
    assert list(licences.refused(shipped)) == []
    assert list(licences.refused({"a": "GPL-2.0-only"})) == ["a: GPL-2.0-only"]
