"""Disk images of virtual machines: the bare VPS of `images` with a kernel, as files that QEMU boots."""

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
SIZE = "10G"  # sparse: unwritten blocks take no space
KERNELS = {"debian": "linux-image-cloud-amd64", "ubuntu": "linux-image-virtual"}
# Besides the kernel: fsck, a resolver for the machine's own name (sudo asks for it each time), and a package
# that takes long to install under QEMU.
PACKAGES = ("e2fsprogs", "initramfs-tools", "libnss-myhostname", "python3-venv")
# A provider shows the host key on the console.
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
    # systemd-networkd reads the network configuration from the kernel's command line.
    'chroot "$1" systemctl enable tell-host-key.service systemd-networkd.service',
    'echo "nameserver 10.0.2.3" > "$1"/etc/resolv.conf',
    'echo "/dev/vda / ext4 errors=remount-ro 0 1" > "$1"/etc/fstab',
)


@dataclass(frozen=True)
class Disk:
    """The files from which a machine of one distribution starts."""

    root: Path
    kernel: Path
    initrd: Path


def ensure(distro: Distro) -> Disk:
    """Return the distribution's disk, built if it is missing or its recipe has changed."""
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
    """Return the digest of the disk's recipe."""
    recipe = json.dumps([_bootstrap(distro), SIZE])
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def _bootstrap(distro: Distro) -> list[str]:
    kernel = KERNELS[distro.name.partition("-")[0]]
    bare = images.bootstrap(distro, packages=(kernel, *PACKAGES, *_of_roles()), hooks=HOOKS)
    # Keep the archive's index: QEMU takes a minute to unpack it.
    return [*bare, "--skip=cleanup/apt/lists"]


def _of_roles() -> list[str]:
    """Return the packages that the roles install: under QEMU that takes long, and containers prove it."""
    defaults = [yaml.safe_load(file.read_text()) or {} for file in ROOT.glob("roles/*/defaults/main.yml")]
    lists = (found[name] for found in defaults for name in found if name.endswith("_packages"))
    return sorted({package for packages in lists for package in packages} - set(images.PACKAGES))


def _build(distro: Distro, keys: Path, target: Path) -> None:
    # A temporary name until it is complete: the build may be interrupted.
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
