"""A new environment beside staging and production: its servers, its operator, and fresh secrets, encrypted.

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
EXAMPLE = "trade.example.com=203.0.113.10"

HOSTS = """\
# Servers of {environment}. Playbooks take them one after another and stop at the first that fails
# (-e at_a_time=50% for more at a time; --limit NAME for one).
algosat:
  hosts:
{hosts}"""
MAIN = """\
# What {environment} has otherwise than the defaults of the roles and playbooks/group_vars/all.
algosat_environment: {kind}

# Who may log in to the servers and administer them.
users_operators:
  - name: {user}
    keys:
      - {key}

# Where the operators work, addresses or networks: never throttled by nginx nor banned.
algosat_operator_addresses: [{addresses}]

# Secrets, each taken from the vault once: `make vault-edit ENV={environment}`.
algosat_security_secret_key: "{{{{ vault_algosat_security_secret_key }}}}"
algosat_security_previous_secret_keys: "{{{{ vault_algosat_security_previous_secret_keys | default([]) }}}}"
algosat_encryption_keys: "{{{{ vault_algosat_encryption_keys }}}}"
algosat_admin_password: "{{{{ vault_algosat_admin_password }}}}"
"""


def main() -> None:
    """Write the environment, and say what is left to fill in."""
    parser = argparse.ArgumentParser(prog="python -m tools.new_inventory", description=__doc__)
    parser.add_argument("environment")
    parser.add_argument("--hosts", default=EXAMPLE, help="NAME=ADDRESS, several separated by commas")
    parser.add_argument("--user", default="operator", help="the operator's login on the servers")
    parser.add_argument(
        "--from",
        dest="addresses",
        default="",
        help="where the operator works: ADDRESS, several separated by commas",
    )
    asked = parser.parse_args()
    addresses = [it for it in asked.addresses.split(",") if it]
    write(
        ROOT, asked.environment, asked.hosts.split(","), asked.user, find_key(Path.home() / ".ssh"), addresses
    )
    vault.new(asked.environment)
    play = f".venv/bin/ansible-playbook -i inventories/{asked.environment} playbooks"
    note(f"""inventories/{asked.environment}: look through hosts.yml and group_vars/algosat/main.yml, then
  {play}/validate.yml    to check the inventory
  {play}/bootstrap.yml   to create the operator's login
  {play}/site.yml""")


def write(
    root: Path, environment: str, hosts: list[str], user: str, key: str, addresses: Sequence[str] = ()
) -> None:
    """Write hosts.yml and main.yml, and make the environment's vault known to ansible.cfg."""
    if not NAME.fullmatch(environment):
        raise Trouble(f"{environment} is no name", "lowercase letters, digits and dashes, a letter first")
    directory = root / "inventories" / environment
    if directory.exists():
        raise Trouble(f"{directory} exists already", "take another name, or edit it")
    found = [it for it in map(HOST.fullmatch, hosts) if it]
    if len({it["name"] for it in found}) != len(hosts):
        raise Trouble(f"{','.join(hosts)} names no hosts, or one twice", f"for example HOSTS={EXAMPLE}")
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
    _make_known(root / "ansible.cfg", environment)


def _quoted(text: str) -> str:
    """As YAML reads it whatever is in it: the comment of a key may be anything."""
    return json.dumps(text, ensure_ascii=False)


def _require_address(text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError as problem:
        raise Trouble(f"FROM: {problem}", "for example FROM=198.51.100.7 or FROM=198.51.100.0/24") from None


def find_key(directory: Path) -> str:
    """The operator's public key, the strongest there is; a reminder if there is none."""
    for name in ("id_ed25519_sk.pub", "id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"):
        if (directory / name).exists():
            return (directory / name).read_text().strip()
    return "ssh-ed25519 … your public key: ssh-keygen -t ed25519"


def _make_known(configuration: Path, environment: str) -> None:
    """Ansible decrypts only with the identities it is told of."""
    text = configuration.read_text()
    identity = f"{environment}@tools/vault-client"
    if not re.search(rf"(?<![\w-]){re.escape(identity)}", text):  # `mine` is no part of `gold-mine`
        configuration.write_text(IDENTITIES.sub(lambda line: f"{line[0]}, {identity}", text))


if __name__ == "__main__":
    finish(main)
