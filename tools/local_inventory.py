"""inventories/local: the trial server of `make up`, with secrets that are removed with it."""

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
# Values of the trial server that differ from the defaults. Written by every `make up`.
algosat_environment: development

users_operators:
  - name: {operator}
    keys: ["{key}"]

# Podman forwards the ports.
algosat_server_name: localhost
algosat_https_port: "{{{{ machine_https_port }}}}"
algosat_operator_addresses: ["{{{{ machine_seen_from }}}}/32"]

# The market is always open.
algosat_accounts: [{{name: paper, calendar: always_open}}]

# `make test-alert` listens at this address on the server, and shows what arrives.
algosat_alert_channels: [{{type: webhook, url: "http://127.0.0.1:9095/"}}]

# Secrets from the vault: `make vault-edit ENV=local`.
algosat_security_secret_key: "{{{{ vault_algosat_security_secret_key }}}}"
algosat_security_previous_secret_keys: "{{{{ vault_algosat_security_previous_secret_keys | default([]) }}}}"
algosat_encryption_keys: "{{{{ vault_algosat_encryption_keys }}}}"
algosat_admin_password: "{{{{ vault_algosat_admin_password }}}}"
"""


def write(machine: Machine) -> None:
    """Write the inventory of the machine. Existing secrets are kept."""
    values = {"name": machine.name, "operator": OPERATOR, "key": ssh.public_key()}
    group = DIRECTORY / "group_vars" / "algosat"
    group.mkdir(parents=True, exist_ok=True)
    (DIRECTORY / "hosts.yml").write_text(HOSTS.format(**values))
    (group / "main.yml").write_text(SETTINGS.format(**values))
    containers.write_variables(machine.variables, DIRECTORY / "host_vars" / f"{machine.name}.yml")
    if not vault.file_of(ENVIRONMENT).exists():
        vault.new(ENVIRONMENT)


def remove() -> None:
    """Delete the inventory, its secrets and their password."""
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    passwords.file_of(ENVIRONMENT).unlink(missing_ok=True)
