"""Encrypted inventories: new secrets, and decryption for Ansible, git and people.

python -m tools.vault new|show|edit|rekey ENV        the commands behind `make vault-…`
python -m tools.vault rotate ENV [--revoke]          new keys in front of the old ones: rotate_secrets.yml
python -m tools.vault password --vault-id ENV        the password, for Ansible through tools/vault-client
python -m tools.vault textconv FILE                  the file decrypted, for git diff
"""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from tools import passwords, shell
from tools.paths import ROOT, VENV_BIN
from tools.say import Trouble, finish, note

HEADER = re.compile(r"\$ANSIBLE_VAULT;1\.2;AES256;(?P<environment>[\w-]+)$")
SIGNING = "vault_algosat_security_secret_key"
PREVIOUS = "vault_algosat_security_previous_secret_keys"
ENCRYPTION = "vault_algosat_encryption_keys"
SIGNERS_KEPT = 2
NO_SUCH_PASSWORD = 2  # the exit code by which a vault client says that it has no password


def file_of(environment: str) -> Path:
    """Return the encrypted file of an environment's inventory."""
    return ROOT / "inventories" / environment / "group_vars" / "algosat" / "vault.yml"


def environment_of(file: Path) -> str | None:
    """Return the environment a file is encrypted for, or None if it is not encrypted."""
    with file.open() as lines:
        header = HEADER.match(lines.readline().strip())
    return header["environment"] if header else None


def new(environment: str) -> None:
    """Create the secrets of an environment that has none, and a password if there is none."""
    file = file_of(environment)
    if file.exists():
        raise Trouble(f"{file.relative_to(ROOT)} exists already", f"make vault-edit ENV={environment}")
    if passwords.find(environment) is None:
        passwords.keep(environment)
        _say_where(environment)
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(environment, shell.output([str(VENV_BIN / "algosat"), "credentials", "generate"]))


def show(environment: str) -> str:
    """Return the decrypted secrets of an environment."""
    return _ansible_vault(environment, "view", str(_existing(environment)))


def edit(environment: str) -> None:
    """Open an environment's secrets in $EDITOR and encrypt them again."""
    file = str(_existing(environment))
    command = [str(VENV_BIN / "ansible-vault"), "edit", *_identity(environment)]
    if shell.stream([*command, "--encrypt-vault-id", environment, file]) != 0:
        raise Trouble("the secrets are unchanged", passwords.remedy(environment))


def rekey(environment: str) -> None:
    """Encrypt an environment's secrets with a new password, and remove an example's documented one."""
    if passwords.in_variable(environment):
        name = passwords.variable_of(environment)
        raise Trouble(f"{name} would stay the password", f"unset {name}, after storing it elsewhere")
    password = passwords.made()

    encrypted = _encrypted(environment, show(environment), {passwords.variable_of(environment): password})
    passwords.keep(environment, password)
    encrypted.replace(file_of(environment))
    passwords.example_of(environment).unlink(missing_ok=True)
    _say_where(environment)


def rotate(environment: str, *, revoke: bool) -> None:
    """Put new keys for tokens and encryption before the old ones, which remain valid.

    The last two keys for tokens stay, since a rotation may follow another that was not deployed. With
    `revoke` they are removed, and all users have to log in again. All keys for encryption stay.
    """
    secrets = yaml.safe_load(show(environment))
    made = yaml.safe_load(shell.output([str(VENV_BIN / "algosat"), "credentials", "generate"]))
    secrets[PREVIOUS] = [] if revoke else [secrets[SIGNING], *secrets.get(PREVIOUS, [])][:SIGNERS_KEPT]
    secrets[SIGNING] = made[SIGNING]
    secrets[ENCRYPTION] = [*made[ENCRYPTION], *secrets[ENCRYPTION]]
    _write(environment, yaml.safe_dump(secrets, sort_keys=False))


def textconv(file: Path) -> str:
    """Return the decrypted file if its password is known, otherwise the file as it is."""
    environment = environment_of(file)
    if environment is None or passwords.find(environment) is None:
        return file.read_text()
    return _ansible_vault(environment, "view", str(file))


def _existing(environment: str) -> Path:
    file = file_of(environment)
    if not file.exists():
        raise Trouble(f"there is no {file.relative_to(ROOT)}", f"make vault-new ENV={environment}")
    return file


def _write(environment: str, plain: str) -> None:
    _encrypted(environment, plain).replace(file_of(environment))


def _encrypted(environment: str, plain: str, env: Mapping[str, str] | None = None) -> Path:
    """Encrypt the secrets into a temporary file beside the file that it will replace."""
    arguments = ("--encrypt-vault-id", environment, "--output", "-", "-")
    text = _ansible_vault(environment, "encrypt", *arguments, stdin=plain, env=env)
    return passwords.beside(file_of(environment), text)


def _ansible_vault(
    environment: str,
    verb: str,
    *arguments: str,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    command = [str(VENV_BIN / "ansible-vault"), verb, *_identity(environment), *arguments]
    return shell.output(command, stdin=stdin, remedy=passwords.remedy(environment), env=env)


def _identity(environment: str) -> tuple[str, str]:
    return ("--vault-id", f"{environment}@{ROOT / 'tools' / 'vault-client'}")


def _say_where(environment: str) -> None:
    file = passwords.file_of(environment)
    note(f"the vault password of {environment} is in {file}: keep a copy in a safe place")


def _main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.vault",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("new", "show", "edit", "rekey"):
        verbs.add_parser(verb).add_argument("environment")
    rotates = verbs.add_parser("rotate")
    rotates.add_argument("environment")
    rotates.add_argument(
        "--revoke", action="store_true", help="remove the old keys for tokens: all users log in again"
    )
    verbs.add_parser("password").add_argument("--vault-id", dest="environment", required=True)
    verbs.add_parser("textconv").add_argument("file", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "password":
        return _answer(arguments.environment)
    if arguments.verb == "textconv":
        print(textconv(arguments.file), end="")
    elif arguments.verb == "show":
        print(show(arguments.environment), end="")
    elif arguments.verb == "rotate":
        rotate(arguments.environment, revoke=arguments.revoke)
    else:
        {"new": new, "edit": edit, "rekey": rekey}[arguments.verb](arguments.environment)
    return 0


def _answer(environment: str) -> int:
    password = passwords.find(environment)
    if password is None:
        print(passwords.remedy(environment), file=sys.stderr)
        return NO_SUCH_PASSWORD
    print(password)
    return 0


if __name__ == "__main__":
    finish(_main)
