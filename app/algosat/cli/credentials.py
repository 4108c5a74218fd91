"""`algosat credentials`: new secrets for a vault."""

from __future__ import annotations

import base64
import secrets
from typing import Final

import click
import yaml

# Without characters that are easily confused when typed.
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@click.group()
def command() -> None:
    """Generate secrets."""


@command.command()
def generate() -> None:
    """Print new secrets as YAML for the vault of an inventory."""
    made = {
        "vault_algosat_security_secret_key": secrets.token_urlsafe(64),
        "vault_algosat_encryption_keys": [base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()],
        "vault_algosat_admin_password": "".join(secrets.choice(_LETTERS) for _ in range(24)),
    }
    click.echo(yaml.safe_dump(made, sort_keys=False), nl=False)
