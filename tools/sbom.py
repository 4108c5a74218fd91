"""The bill of materials of a release, as CycloneDX JSON: every package with version, digest and licence.

It contains no time and no random number, because the same sources give the same release.
"""

import email
import re
import uuid
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot5
from packageurl import PackageURL

from tools.wheels import digest

FILE = "sbom.cdx.json"
_LICENCE_CLASSIFIER = "License :: OSI Approved :: "


def of_release(identity: str, own: Path, wheels: Iterable[Path], at: int) -> str:
    """Return the bill of materials of the release with this identity.

    Args:
        own: The wheel of the application.
        wheels: The wheels of the packages that it needs.
        at: The time in the document, in seconds since 1970.
    """
    application = _component(own, ComponentType.APPLICATION)
    packages = [_component(wheel, ComponentType.LIBRARY) for wheel in wheels]
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"algosat:{identity}"), components=packages)
    bom.metadata.timestamp = datetime.fromtimestamp(at, UTC)
    bom.metadata.component = application
    bom.register_dependency(application, packages)
    return JsonV1Dot5(bom).output_as_string(indent=1) + "\n"


def licence_of(metadata: Message) -> str:
    """Return the licence that a package declares: an SPDX expression, or the words of its classifiers."""
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression)
    named = [str(it) for it in metadata.get_all("Classifier", []) if str(it).startswith(_LICENCE_CLASSIFIER)]
    if named:
        return " AND ".join(it.removeprefix(_LICENCE_CLASSIFIER) for it in named)
    return str(metadata.get("License") or "unknown").strip().splitlines()[0]


def _component(wheel: Path, kind: ComponentType) -> Component:
    metadata = _metadata(wheel)
    name, version = str(metadata["Name"]), str(metadata["Version"])
    url = PackageURL("pypi", None, name.lower(), version)
    return Component(
        type=kind,
        name=name,
        version=version,
        purl=url,
        bom_ref=str(url),
        licenses=[LicenseFactory().make_from_string(licence_of(metadata))],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest(wheel))],
    )


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        # A wheel that vendors other packages contains their METADATA too; its own is at the top level.
        (name,) = (it for it in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", it))
        return email.message_from_bytes(archive.read(name))
