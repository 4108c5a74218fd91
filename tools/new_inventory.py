"""Creating an environment beside staging and production: servers, an operator, and new encrypted secrets.

python -m tools.new_inventory ENV [--hosts NAME=ADDRESS,…] [--user NAME] [--from ADDRESS,…]
"""

import argparse
import ipaddress
import json
import re
from collections.abc import Sequence
from pathlib import Path

from tools import vault
from tools.paths import ROOT
from tools.say import Trouble, finish, note

NAME = re.compile(r"[a-z][a-z0-9-]*")
HOST = re.compile(r"(?P<name>[A-Za-z0-9.-]+)=(?P<address>[A-Za-z0-9.:-]+)")
IDENTITIES = re.compile(r"^vault_identity_list = .*$", re.MULTILINE)
ENVIRONMENTS = ("development", "testing", "staging", "production")
NO_KEY = "ssh-ed25519 … your public key: ssh-keygen -t ed25519"
EXAMPLE = "trade.example.com=203.0.113.10"

HOSTS = """\
# Servers of {environment}. Playbooks change one server at a time and stop at the first failure
# (-e at_a_time=50% for several at a time; --limit NAME for one).
algosat:
  hosts:
{hosts}"""
MAIN = """\
# Values of {environment} that differ from the defaults of the roles and playbooks/group_vars/all.
algosat_environment: {kind}

# Users who may log in to the servers and administer them.
users_operators:
  - name: {user}
    keys:
      - {key}

# Addresses and networks of the operators: nginx does not limit them, fail2ban does not ban them.
algosat_operator_addresses: [{addresses}]

# Who is told of alerts: docs/runbook.md, "Alert channels".
algosat_alert_channels: []

# Secrets from the vault: `make vault-edit ENV={environment}`.
algosat_security_secret_key: "{{{{ vault_algosat_security_secret_key }}}}"
algosat_security_previous_secret_keys: "{{{{ vault_algosat_security_previous_secret_keys | default([]) }}}}"
algosat_encryption_keys: "{{{{ vault_algosat_encryption_keys }}}}"
algosat_admin_password: "{{{{ vault_algosat_admin_password }}}}"
"""


def main() -> None:
    """Write the environment and print the next steps."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.new_inventory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("environment")
    parser.add_argument("--hosts", default=EXAMPLE, help="NAME=ADDRESS, separated by commas")
    parser.add_argument("--user", default="operator", help="the operator's login on the servers")
    parser.add_argument(
        "--from",
        dest="addresses",
        default="",
        help="the operator's addresses, separated by commas",
    )
    asked = parser.parse_args()
    addresses = [it for it in asked.addresses.split(",") if it]
    key = find_key(Path.home() / ".ssh")
    write(ROOT, asked.environment, asked.hosts.split(","), asked.user, key, addresses)
    vault.new(asked.environment)
    if key == NO_KEY:
        note(
            "no SSH key in ~/.ssh: create one with ssh-keygen -t ed25519, and put its .pub line under\n"
            f"users_operators in inventories/{asked.environment}/group_vars/algosat/main.yml"
        )
    play = f".venv/bin/ansible-playbook -i inventories/{asked.environment} playbooks"
    note(f"""inventories/{asked.environment}: look through hosts.yml and group_vars/algosat/main.yml, then
  {play}/validate.yml    to check the inventory
  {play}/bootstrap.yml   to create the operator's login
  {play}/site.yml""")


def write(
    root: Path, environment: str, hosts: list[str], user: str, key: str, addresses: Sequence[str] = ()
) -> None:
    """Write hosts.yml and main.yml, and add the environment's vault to ansible.cfg."""
    if not NAME.fullmatch(environment):
        raise Trouble(
            f"{environment} is not a valid name",
            "use lowercase letters, digits and dashes, and a letter first",
        )
    directory = root / "inventories" / environment
    if directory.exists():
        raise Trouble(f"{directory} exists already", "choose another name, or edit it")
    found = [it for it in map(HOST.fullmatch, hosts) if it]
    if len({it["name"] for it in found}) != len(hosts):
        raise Trouble(f"{','.join(hosts)} is not a list of different hosts", f"for example HOSTS={EXAMPLE}")
    for address in addresses:
        _require_address(address)
    login = _quoted(user)
    listed = "".join(
        f'    "{it["name"]}":\n      ansible_host: "{it["address"]}"\n      ansible_user: {login}\n'
        for it in found
    )
    kind = environment if environment in ENVIRONMENTS else "production"
    group = directory / "group_vars" / "algosat"
    group.mkdir(parents=True)
    (directory / "hosts.yml").write_text(HOSTS.format(environment=environment, hosts=listed))
    quoted = ", ".join(f'"{it}"' for it in addresses)
    (group / "main.yml").write_text(
        MAIN.format(environment=environment, kind=kind, user=login, key=_quoted(key), addresses=quoted)
    )
    _add_identity(root / "ansible.cfg", environment)


def _quoted(text: str) -> str:
    """Return the text as a quoted YAML scalar: the comment of a key may contain any character."""
    return json.dumps(text, ensure_ascii=False)


def _require_address(text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError as problem:
        raise Trouble(f"FROM: {problem}", "for example FROM=198.51.100.7 or FROM=198.51.100.0/24") from None


def find_key(directory: Path) -> str:
    """Return the operator's strongest public key, or a placeholder with the command that creates one."""
    for name in ("id_ed25519_sk.pub", "id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"):
        if (directory / name).exists():
            return (directory / name).read_text().strip()
    return NO_KEY


def _add_identity(configuration: Path, environment: str) -> None:
    """Add the environment to vault_identity_list: Ansible decrypts only with the identities listed there."""
    text = configuration.read_text()
    identity = f"{environment}@tools/vault-client"
    if not re.search(rf"(?<![\w-]){re.escape(identity)}", text):  # `mine` does not match `gold-mine`
        configuration.write_text(IDENTITIES.sub(lambda line: f"{line[0]}, {identity}", text))


if __name__ == "__main__":
    finish(main)
