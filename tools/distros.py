"""Distributions that a server may run, with what is needed to build their images."""

from dataclasses import dataclass

from tools.say import Trouble


@dataclass(frozen=True)
class Distro:
    """A release of a distribution."""

    name: str
    suite: str
    components: str
    keyring: str  # package of the archive's signing keys
    keys: str  # file of that package in /usr/share/keyrings


def _debian(release: str, suite: str) -> Distro:
    return Distro(f"debian-{release}", suite, "main", "debian-archive-keyring", "debian-archive-keyring.gpg")


def _ubuntu(release: str, suite: str) -> Distro:
    return Distro(f"ubuntu-{release}", suite, "main,universe", "ubuntu-keyring", "ubuntu-archive-keyring.gpg")


DISTROS = {
    distro.name: distro
    for distro in (
        _debian("12", "bookworm"),
        _debian("13", "trixie"),
        _ubuntu("24.04", "noble"),
        _ubuntu("26.04", "resolute"),
    )
}
DEFAULT = "debian-12"
# Its archive has the keyring packages of all distributions above.
KEYS_DONOR = "debian-13"


def named(name: str) -> Distro:
    """Return the distribution of that name.

    Raises:
        Trouble: the name is unknown; the remedy lists the known ones.
    """
    try:
        return DISTROS[name]
    except KeyError:
        raise Trouble(f"there is no image for DISTRO={name}", f"choose one of {', '.join(DISTROS)}") from None
