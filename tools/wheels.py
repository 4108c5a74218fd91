"""Locked wheels of the app for a server's Python and processor, cached and downloaded."""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from tools import locks, shell
from tools.paths import CACHE
from tools.say import Trouble

# The oldest C library of the supported distributions is Debian 12's: glibc 2.36.
GLIBC_MINORS = range(5, 37)
HASH = "--hash="


@dataclass(frozen=True)
class Target:
    """The properties of a server that decide which wheel fits."""

    python: str  # the full version, such as 3.11.2: markers of the lock compare its last number too
    machine: str  # x86_64 or aarch64

    @property
    def series(self) -> str:
        return ".".join(self.python.split(".")[:2])

    @property
    def tag(self) -> str:
        return f"cp{self.series.replace('.', '')}-{self.machine}"

    def markers(self) -> dict[str, str]:
        """Return the values for environment markers: the server's, not this machine's."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": self.python,
            "python_version": self.series,
            "sys_platform": "linux",
        }


@dataclass(frozen=True)
class Locked:
    """A requirement of the lock file that applies to a target."""

    name: str
    version: str
    sha256: frozenset[str]

    def __str__(self) -> str:
        hashes = (f"{HASH}sha256:{it}" for it in sorted(self.sha256))
        return " ".join([f"{self.name}=={self.version}", *hashes])


def applying(lock: str, target: Target) -> tuple[Locked, ...]:
    """Return the requirements of a universal lock file that a target installs."""
    return tuple(_locked(line) for line in _logical_lines(lock) if _applies(line, target))


def collect(wanted: Iterable[Locked], target: Target) -> list[Path]:
    """Return the wheel of each requirement, with its digest verified. Missing wheels are downloaded first."""
    directory = CACHE / "wheels" / target.tag
    directory.mkdir(parents=True, exist_ok=True)
    wanted = list(wanted)
    with locks.exclusive(f"wheels-{target.tag}"):
        present = _cached(wanted, directory)
        missing = [it for it in wanted if it not in present]
        if missing:
            _download(missing, target, directory)
            present |= _cached(missing, directory)
    return [present[it] for it in wanted]


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _cached(wanted: Iterable[Locked], directory: Path) -> dict[Locked, Path]:
    files = {_identity(file): file for file in directory.glob("*.whl")}
    found = {it: files.get((canonicalize_name(it.name), it.version)) for it in wanted}
    return {it: file for it, file in found.items() if file is not None and digest(file) in it.sha256}


def _identity(wheel: Path) -> tuple[str, str]:
    name, version, _, _ = parse_wheel_filename(wheel.name)
    return name, str(version)


def _download(wanted: Iterable[Locked], target: Target, directory: Path) -> None:
    requirements = directory / "missing.txt"
    requirements.write_text("".join(f"{it}\n" for it in wanted))
    platforms = [f"--platform=manylinux_2_{minor}_{target.machine}" for minor in GLIBC_MINORS]
    shell.output(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary=:all:", "--implementation=cp", f"--python-version={target.series}"),
            *(*platforms, f"--platform=manylinux2014_{target.machine}"),
            *("--dest", str(directory), "--requirement", str(requirements)),
        ],
        remedy="check that this machine reaches PyPI, and that every line of app/requirements.lock"
        f" has a wheel for Python {target.series} on {target.machine}",
    )
    requirements.unlink()


def _logical_lines(lock: str) -> Iterator[str]:
    for line in lock.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def _applies(line: str, target: Target) -> bool:
    marker = Requirement(line.split(HASH)[0]).marker
    return marker is None or marker.evaluate(target.markers())


def _locked(line: str) -> Locked:
    text, *hashes = line.split(HASH)
    requirement = Requirement(text)
    (version,) = (it.version for it in requirement.specifier)
    if not hashes:
        raise Trouble(f"{requirement.name} is locked without a digest", "make lock")
    return Locked(requirement.name, version, frozenset(it.strip().removeprefix("sha256:") for it in hashes))
