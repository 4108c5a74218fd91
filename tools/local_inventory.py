"""inventories/local: the throw-away server of `make up`, with secrets that live as long as it does."""

import shutil

from tools import containers, passwords, ssh, vault
from tools.containers import Machine
from tools.paths import ROOT

ENVIRONMENT = "local"
DIRECTORY = ROOT / "inventories" / ENVIRONMENT
OPERATOR = "operator"

HOSTS = """\
algosat:
  hosts:
    {name}:
      ansible_user: {operator}
"""
SETTINGS = """\
# What the throw-away server has otherwise than the defaults; written anew by every `make up`.
algosat_environment: development

users_operators:
  - name: {operator}
    keys: ["{key}"]

# It is reached through ports that podman forwards.
algosat_server_name: localhost
algosat_https_port: "{{{{ machine_https_port }}}}"
algosat_operator_addresses: ["{{{{ machine_seen_from }}}}/32"]

# A trial may be run at any hour.
algosat_paper_always_open: true

# Secrets, each taken from the vault once: `make vault-edit ENV=local`.
algosat_security_secret_key: "{{{{ vault_algosat_security_secret_key }}}}"
algosat_security_previous_secret_keys: "{{{{ vault_algosat_security_previous_secret_keys | default([]) }}}}"
algosat_encryption_keys: "{{{{ vault_algosat_encryption_keys }}}}"
algosat_admin_password: "{{{{ vault_algosat_admin_password }}}}"
"""


def write(machine: Machine) -> None:
    """Describe the machine as an environment; secrets that are there already stay."""
    values = {"name": machine.name, "operator": OPERATOR, "key": ssh.public_key()}
    group = DIRECTORY / "group_vars" / "algosat"
    group.mkdir(parents=True, exist_ok=True)
    (DIRECTORY / "hosts.yml").write_text(HOSTS.format(**values))
    (group / "main.yml").write_text(SETTINGS.format(**values))
    containers.write_variables(machine.variables, DIRECTORY / "host_vars" / f"{machine.name}.yml")
    if not vault.file_of(ENVIRONMENT).exists():
        vault.new(ENVIRONMENT)


def remove() -> None:
    """Forget the environment, its secrets and their password."""
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    passwords.file_of(ENVIRONMENT).unlink(missing_ok=True)
