"""Where the password of an environment's vault comes from: its variable, a file, or the system's keyring."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from tools.paths import LOCAL, ROOT
from tools.say import Trouble

SERVICE = "algosat-vault"  # under this name the keyring knows it; its user is the environment
PASSWORD_BYTES = 24
THROWN_AWAY = "local"  # made by `make up`: its password is made with it and lives no longer


def find(environment: str) -> str | None:
    """The password, from the first place that knows one; None if there is no such place."""
    for look in (in_variable, _in_files, _in_example, _in_keyring, _made_now):
        if found := look(environment):
            return found
    return None


def made() -> str:
    """A new password."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def keep(environment: str, password: str | None = None) -> str:
    """Keep a password, a new one if none is given, in a file that git ignores and nobody else may read."""
    password = password or made()
    file = file_of(environment)
    beside(file, f"{password}\n").replace(file)
    return password


def beside(file: Path, text: str) -> Path:
    """A finished file for its owner alone, to take the place of another in one step: a cut loses neither."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    with NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.", delete=False) as new:
        new.write(text)
    return Path(new.name)


def file_of(environment: str) -> Path:
    """The file in this checkout that may hold the password."""
    return LOCAL / f"vault-password-{environment}"


def example_of(environment: str) -> Path:
    """The documented password of an example inventory; it goes when the secrets become real."""
    return ROOT / "inventories" / environment / "example-vault-password"


def remedy(environment: str) -> str:
    """What to do for somebody who has no password, or a wrong one."""
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
                raise Trouble(f"{file} may be read by others", f"chmod 600 {file}")
            return file.read_text().strip()
    return None


def _in_example(environment: str) -> str | None:
    file = example_of(environment)
    return file.read_text().splitlines()[-1] if file.exists() else None


def _in_keyring(environment: str) -> str | None:
    try:
        import keyring  # slow to import, and not there before `make deps`
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        return keyring.get_password(SERVICE, environment)
    except KeyringError:  # this machine has none, or it is locked
        return None


def _made_now(environment: str) -> str | None:
    """Only of what is thrown away. Ansible asks in several processes at once: whoever is first makes it."""
    if environment != THROWN_AWAY:
        return None
    new = beside(file_of(environment), f"{made()}\n")
    with suppress(FileExistsError):
        os.link(new, file_of(environment))
    new.unlink()
    return _in_files(environment)
