"""Passwords of the environments' vaults, from a variable, a file, or the system's keyring."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from tools.paths import LOCAL, ROOT
from tools.say import Trouble

SERVICE = "algosat-vault"  # service name in the keyring; the user name is the environment
PASSWORD_BYTES = 24
TRIAL = "local"  # the environment of `make up`: its password is created and removed with it


def find(environment: str) -> str | None:
    """Return the password from the first source that has one, or None."""
    for look in (in_variable, _in_files, _in_example, _in_keyring, _made_now):
        if found := look(environment):
            return found
    return None


def made() -> str:
    """Return a new password."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def keep(environment: str, password: str | None = None) -> str:
    """Write a password, by default a new one, to a file that git ignores and only its owner may read."""
    password = password or made()
    file = file_of(environment)
    beside(file, f"{password}\n").replace(file)
    return password


def beside(file: Path, text: str) -> Path:
    """Write a temporary file beside another, readable by its owner alone, to replace it atomically."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    with NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.", delete=False) as new:
        new.write(text)
    return Path(new.name)


def file_of(environment: str) -> Path:
    """Return the file in this checkout that may contain the password."""
    return LOCAL / f"vault-password-{environment}"


def example_of(environment: str) -> Path:
    """Return the file with the documented password of an example inventory; `vault rekey` removes it."""
    return ROOT / "inventories" / environment / "example-vault-password"


def remedy(environment: str) -> str:
    """Return the remedy for a missing or wrong password."""
    return (
        f"give the vault password of {environment} in {variable_of(environment)}, in {file_of(environment)}"
        f" (mode 0600), or in the keyring: keyring set {SERVICE} {environment}"
    )


def variable_of(environment: str) -> str:
    return f"ALGOSAT_VAULT_PASSWORD_{environment.upper().replace('-', '_')}"


def in_variable(environment: str) -> str | None:
    return os.environ.get(variable_of(environment))


def _in_files(environment: str) -> str | None:
    for file in (file_of(environment), Path.home() / ".config" / "algosat" / f"vault-password-{environment}"):
        if file.exists():
            if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise Trouble(f"other users may read {file}", f"chmod 600 {file}")
            return file.read_text().strip()
    return None


def _in_example(environment: str) -> str | None:
    file = example_of(environment)
    return file.read_text().splitlines()[-1] if file.exists() else None


def _in_keyring(environment: str) -> str | None:
    try:
        import keyring  # slow to import, and missing before `make deps`
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        return keyring.get_password(SERVICE, environment)
    except KeyringError:  # no keyring, or a locked one
        return None


def _made_now(environment: str) -> str | None:
    """Create the password of the trial environment; of several processes that ask, the first creates it."""
    if environment != TRIAL:
        return None
    new = beside(file_of(environment), f"{made()}\n")
    with suppress(FileExistsError):
        os.link(new, file_of(environment))
    new.unlink()
    return _in_files(environment)
