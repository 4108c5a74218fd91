"""The distributions a server may run, as far as building one of their images needs to know."""

from dataclasses import dataclass

from tools.say import Trouble


@dataclass(frozen=True)
class Distro:
    """One release of a distribution."""

    name: str
    suite: str
    components: str
    keyring: str  # the package that holds the keys its archive is signed with
    keys: str  # the file of that package under /usr/share/keyrings


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
# Has the keys of every distribution above in its own archive.
KEYS_DONOR = "debian-13"


def named(name: str) -> Distro:
    """The distribution of that name; `Trouble` listing the known ones otherwise."""
    try:
        return DISTROS[name]
    except KeyError:
        raise Trouble(f"there is no image for DISTRO={name}", f"choose one of {', '.join(DISTROS)}") from None
