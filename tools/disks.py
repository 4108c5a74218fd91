"""Disks of virtual machines: the bare VPS of `images` with a kernel of its own, as a file that QEMU boots."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools import apt, images, shell
from tools.distros import Distro
from tools.paths import CACHE, ROOT
from tools.say import step

DIRECTORY = CACHE / "disks"
SIZE = "10G"  # sparse: what is not written takes no room
KERNELS = {"debian": "linux-image-cloud-amd64", "ubuntu": "linux-image-virtual"}
# Besides the kernel: what checks its disk, what knows its name without asking the net at every sudo, and what
# takes QEMU long to install.
PACKAGES = ("e2fsprogs", "initramfs-tools", "libnss-myhostname", "python3-venv")
# A provider shows his customer on the console which host key is the machine's.
TELL_HOST_KEY_UNIT = """\
[Unit]
Description=Show the SSH host key on the console
After=ssh-host-keys.service

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo "host-key $(cat /etc/ssh/ssh_host_ed25519_key.pub)" >/dev/console'

[Install]
WantedBy=multi-user.target
"""
HOOKS = (
    f"cat > \"$1\"/etc/systemd/system/tell-host-key.service <<'UNIT'\n{TELL_HOST_KEY_UNIT}UNIT",
    # The network is configured by what the kernel's command line says of it.
    'chroot "$1" systemctl enable tell-host-key.service systemd-networkd.service',
    'echo "nameserver 10.0.2.3" > "$1"/etc/resolv.conf',
    'echo "/dev/vda / ext4 errors=remount-ro 0 1" > "$1"/etc/fstab',
)


@dataclass(frozen=True)
class Disk:
    """What a machine of one distribution starts from."""

    root: Path
    kernel: Path
    initrd: Path


def ensure(distro: Distro) -> Disk:
    """The distribution's disk, built first if its recipe has changed or it is not there."""
    directory = DIRECTORY / f"{distro.name}-{digest(distro)}"
    if not directory.exists():
        apt.ensure_commands("mke2fs")
        keys = images.archive_keys(distro)
        with step(f"building the {distro.name} disk from its archive"):
            _build(distro, keys, directory)
        for other in DIRECTORY.glob(f"{distro.name}-*"):
            if other != directory:
                shutil.rmtree(other)
    return Disk(*(directory / name for name in ("root", "vmlinuz", "initrd.img")))


def digest(distro: Distro) -> str:
    """What tells a disk from one made by another recipe."""
    recipe = json.dumps([_bootstrap(distro), SIZE])
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def _bootstrap(distro: Distro) -> list[str]:
    kernel = KERNELS[distro.name.partition("-")[0]]
    bare = images.bootstrap(distro, packages=(kernel, *PACKAGES, *_of_roles()), hooks=HOOKS)
    # The archive's index too: QEMU takes a minute to unpack it.
    return [*bare, "--skip=cleanup/apt/lists"]


def _of_roles() -> list[str]:
    """What the roles would install. QEMU is long about it, and that they do is proven in containers."""
    defaults = [yaml.safe_load(file.read_text()) or {} for file in ROOT.glob("roles/*/defaults/main.yml")]
    lists = (found[name] for found in defaults for name in found if name.endswith("_packages"))
    return sorted({package for packages in lists for package in packages} - set(images.PACKAGES))


def _build(distro: Distro, keys: Path, target: Path) -> None:
    # Under a name of its own until it is whole, should this be cut off half-way.
    unfinished = target.with_name("unfinished")
    root = shell.as_root()
    shell.output([*root, "rm", "-rf", str(unfinished)])
    (tree := unfinished / "tree").mkdir(parents=True)
    made = shell.attempt([*root, *_bootstrap(distro), f"--keyring={keys}", str(tree)])
    if made.returncode != 0:
        raise images.refused(distro, made.stderr.strip().splitlines())
    for name in ("vmlinuz", "initrd.img"):
        # Debian has the links in /, Ubuntu in /boot.
        source = next(path for path in (tree / name, tree / "boot" / name) if path.is_symlink())
        shell.output([*root, "cp", str(source), str(unfinished / name)])
    file = str(unfinished / "root")
    shell.output([*root, "mke2fs", "-q", "-t", "ext4", "-d", str(tree), file, SIZE])
    shell.output([*root, "rm", "-rf", str(tree)])
    shell.output([*root, "chown", "-R", f"{os.geteuid()}:{os.getegid()}", str(unfinished)])
    unfinished.rename(target)
