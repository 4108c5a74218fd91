"""Signing keys of distributions' archives, by a chain of trust that starts on this machine."""

import base64
from pathlib import Path

from tools import apt, podman
from tools.distros import DISTROS, KEYS_DONOR, Distro
from tools.paths import CACHE

INSTALLED = Path("/usr/share/keyrings")
TAKEN = CACHE / "keyrings"


def on_this_machine(distro: Distro) -> Path | None:
    """Return the file of keys, installed from this machine's distribution if necessary, or None."""
    for directory in (INSTALLED, TAKEN):
        if (directory / distro.keys).exists():
            return directory / distro.keys
    if distro.keyring != DISTROS[KEYS_DONOR].keyring and not apt.offered(distro.keyring):
        return None
    apt.ensure(distro.keyring)
    return INSTALLED / distro.keys


def taken_from(image: str, distro: Distro) -> Path:
    """Return the file of keys, fetched by the package manager of another distribution's image."""
    install = f"apt-get -qq update && apt-get -qq install -y {distro.keyring} >&2"
    keys = podman.podman(
        "run", "--rm", *podman.limits(), image, "sh", "-c", f"{install} && base64 {INSTALLED / distro.keys}"
    )
    TAKEN.mkdir(parents=True, exist_ok=True)
    (TAKEN / distro.keys).write_bytes(base64.b64decode(keys))
    return TAKEN / distro.keys
