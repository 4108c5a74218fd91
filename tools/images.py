"""Images of a bare VPS: systemd, an SSH server and Python, built from the distribution's archive."""

import argparse
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools import apt, keyrings, locks, shell
from tools.distros import DEFAULT, DISTROS, KEYS_DONOR, Distro, named
from tools.podman import answers, attempt, command, podman
from tools.say import Trouble, finish, step

# What every provider's image contains besides the essential packages.
PACKAGES = (
    "apt",
    "ca-certificates",
    "dbus",
    "iproute2",
    "kmod",
    "libpam-systemd",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# Each machine generates its host keys at its first boot, as a VPS does.
HOST_KEYS_UNIT = """\
[Unit]
Description=Make this machine's SSH host keys
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
"""
HOOKS = (
    'rm -f "$1"/etc/ssh/ssh_host_*',
    f"cat > \"$1\"/etc/systemd/system/ssh-host-keys.service <<'UNIT'\n{HOST_KEYS_UNIT}UNIT",
    'chroot "$1" systemctl enable ssh-host-keys.service',
    'rm -f "$1"/etc/hostname "$1"/etc/resolv.conf',
)
CHANGES = ('CMD ["/sbin/init"]', "STOPSIGNAL SIGRTMIN+3")


def image_of(distro: Distro) -> str:
    """Return the name of the distribution's image, which contains a digest of its recipe."""
    recipe = json.dumps([bootstrap(distro), CHANGES])
    return f"{_repository(distro)}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def bootstrap(distro: Distro, packages: Iterable[str] = (), hooks: Iterable[str] = ()) -> list[str]:
    """Return the command that builds a bare server, without its last argument, the target."""
    return [
        "mmdebstrap",
        "--variant=minbase",
        f"--components={distro.components}",
        f"--include={','.join((*PACKAGES, *packages, distro.keyring))}",
        *(f"--customize-hook={hook}" for hook in (*HOOKS, *hooks)),
        distro.suite,
    ]


def ensure(distro: Distro) -> str:
    """Return the name of the distribution's image, built if it is missing or its recipe has changed."""
    image = image_of(distro)
    with locks.exclusive(f"image-{distro.name}"):
        if not answers("image", "exists", image):
            keys = archive_keys(distro)
            with step(f"building the {distro.name} image from its archive"):
                _build(distro, image, keys)
            _remove_others(distro, image)
    return image


def archive_keys(distro: Distro) -> Path:
    """Return the keys of the distribution's archive; also install what building from it needs."""
    apt.ensure_commands("mmdebstrap", "gpg")
    return keyrings.on_this_machine(distro) or keyrings.taken_from(ensure(named(KEYS_DONOR)), distro)


def refused(distro: Distro, words: list[str]) -> Trouble:
    """Return the error for an archive that gave no image; `words` is the output of mmdebstrap."""
    errors = "\n".join(line for line in words if line.startswith(("E:", "W:", "Err:")))
    return Trouble(
        f"the {distro.name} archive gave no image\n{errors or words[-1]}",
        f"check that this machine reaches the distribution's archive and has its keys (package"
        f" {distro.keyring}), or choose another DISTRO ({', '.join(DISTROS)})",
    )


def remove_all() -> None:
    """Delete every image that this module built, except those that a machine uses."""
    for distro in DISTROS.values():
        _remove_others(distro, keep="")


def _repository(distro: Distro) -> str:
    return f"localhost/algosat-{distro.name}"


def _build(distro: Distro, image: str, keys: Path) -> None:
    changes = [f"--change={change}" for change in CHANGES]
    make = [*shell.as_root(), *bootstrap(distro), f"--keyring={keys}", "-"]
    # A temporary name until it is complete: the build may be interrupted.
    unfinished = f"{_repository(distro)}:unfinished"
    keep = [*command(), "import", *changes, "-", unfinished]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(make, stdout=subprocess.PIPE, stderr=said) as making,
    ):
        imported = subprocess.run(keep, stdin=making.stdout, capture_output=True, text=True, check=False)
        bootstrapped = making.wait()
        said.seek(0)
        words = said.read().decode(errors="replace").strip().splitlines()
    if bootstrapped != 0:
        attempt("rmi", unfinished)
        raise refused(distro, words)
    if imported.returncode != 0:
        raise Trouble(f"podman import failed\n{shell.tail(imported)}")
    podman("tag", unfinished, image)
    podman("rmi", unfinished)


def _remove_others(distro: Distro, keep: str) -> None:
    for image in _built(distro):
        if image != keep:
            # Without force: an image that a machine uses stays until that machine is removed.
            attempt("rmi", image)


def _built(distro: Distro) -> Iterator[str]:
    listed = podman("images", "--format", "{{.Repository}}:{{.Tag}}", _repository(distro))
    return (line for line in listed.splitlines() if line.startswith(f"{_repository(distro)}:"))


def main() -> None:
    """Build an image and print its name."""
    parser = argparse.ArgumentParser(prog="python -m tools.images", description=main.__doc__)
    parser.add_argument("distro", nargs="?", default=DEFAULT, choices=DISTROS)
    print(ensure(named(parser.parse_args().distro)))


if __name__ == "__main__":
    finish(main)
