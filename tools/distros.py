"""The distributions a server may run, as far as building one of their images needs to know."""

from dataclasses import dataclass

from tools.say import Trouble


@dataclass(frozen=True)
class Distro:
    """One release of a distribution."""

    name: str
    suite: str
    components: str
    keyring: str  # package that holds the archive's keys on the machine that builds


DISTROS = {
    distro.name: distro
    for distro in (
        Distro("debian-12", "bookworm", "main", "debian-archive-keyring"),
        Distro("debian-13", "trixie", "main", "debian-archive-keyring"),
        Distro("ubuntu-24.04", "noble", "main,universe", "ubuntu-keyring"),
        Distro("ubuntu-26.04", "resolute", "main,universe", "ubuntu-keyring"),
    )
}
DEFAULT = "debian-12"


def named(name: str) -> Distro:
    """The distribution of that name; `Trouble` listing the known ones otherwise."""
    try:
        return DISTROS[name]
    except KeyError:
        raise Trouble(
            f"there is no image for DISTRO={name}", f"choose one of {', '.join(DISTROS)}"
        ) from None
