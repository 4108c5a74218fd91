"""Rules that `algosat config check` applies, and services do not when they start.

A configuration needs directories that this user may write to, and addresses of this machine. Its keys must
look random.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from algosat.config.guessing import is_random
from algosat.config.loader import ALGOSAT_FILE, SECURITY_FILE
from algosat.config.problems import Problem
from algosat.config.rules import STRICT, WEAK
from algosat.config.settings import AlgosatFile, Settings

_REMEDY: Final = "create it, and let the user of the services write to it"


def of_machine(settings: Settings) -> Iterator[Problem]:
    """Yield what this machine lacks for the settings, as seen by the user that runs this process."""
    algosat = settings.algosat
    for key, text in (*_of_directories(algosat), *_of_addresses(algosat)):
        yield Problem(ALGOSAT_FILE, key, text)


def of_keys(settings: Settings) -> Iterator[Problem]:
    """Yield the keys of a staging or production environment that a person may have made up."""
    if settings.algosat.environment not in STRICT:
        return
    tokens, encryption = settings.algosat.security, settings.security.encryption
    keys = {
        (ALGOSAT_FILE, "security.secret_key"): (tokens.secret_key,),
        (ALGOSAT_FILE, "security.previous_secret_keys"): tokens.previous_secret_keys,
        (SECURITY_FILE, "encryption.keys"): encryption.keys,
    }
    for (file, name), secrets in keys.items():
        if not all(is_random(secret.get_secret_value()) for secret in secrets):
            yield Problem(file, name, WEAK)


def _of_directories(algosat: AlgosatFile) -> Iterator[tuple[str, str]]:
    yield from _of_directory("runtime_directory", algosat.runtime_directory)
    yield from _of_directory("data_directory", algosat.data_directory)
    store = make_url(algosat.database.url.get_secret_value())
    if store.get_backend_name() == "sqlite" and store.database:
        yield from _of_file("database.url", Path(store.database))
    if algosat.logging.file is not None:
        yield from _of_file("logging.file", algosat.logging.file)


def _of_file(key: str, file: Path) -> Iterator[tuple[str, str]]:
    """Yield why the file cannot be written. Its directory must take new files: locks and rotated files."""
    yield from _of_directory(key, file.parent)
    if file.is_dir():
        yield key, f"{file} is a directory"
    elif file.exists() and not os.access(file, os.R_OK | os.W_OK):
        yield key, f"this user may not read and write {file}"


def _of_directory(key: str, directory: Path) -> Iterator[tuple[str, str]]:
    if not directory.is_dir():
        yield key, f"there is no directory {directory}: {_REMEDY}"
    elif not os.access(directory, os.W_OK | os.X_OK):
        yield key, f"this user may not write to {directory}: {_REMEDY}"


def _of_addresses(algosat: AlgosatFile) -> Iterator[tuple[str, str]]:
    for number, account in enumerate(algosat.accounts):
        address = account.outbound_address
        if address is not None and not _is_own(address):
            yield f"accounts.{number}.outbound_address", f"this machine does not have the address {address}"


def _is_own(address: IPv4Address | IPv6Address) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
