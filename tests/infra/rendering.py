"""Variables and rendered templates of an inventory, as in a run of the playbooks, without a server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret, VaultSecretsContext
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template
from ansible.vars.manager import VariableManager

from tools import passwords
from tools.paths import ROOT

ENVIRONMENTS = ("staging", "production")
ROLES = tuple(sorted(it.name for it in (ROOT / "roles").iterdir() if (it / "tasks").is_dir()))


@dataclass(frozen=True)
class Server:
    """One host of an inventory, with its variables and the defaults of all roles."""

    variables: dict[str, Any]
    templar: Any

    def render(self, template: Path, **more: Any) -> str:
        """Render a template with the variables of the server."""
        variables = {**self.variables, "ansible_managed": "Managed", **more}
        templar = self.templar.copy_with_new_env(
            searchpath=[str(template.parent)], available_variables=variables
        )
        return str(templar.template(trust_as_template(template.read_text()), escape_backslashes=False))

    def value(self, name: str) -> Any:
        return self.templar.template(self.variables[name])


def server(environment: str) -> Server:
    """Return the first host of an example inventory."""
    return described(str(ROOT / "inventories" / environment), "algosat[0]")


@cache
def described(source: str, name: str) -> Server:
    """Return a server of an inventory, which is a path or a comma-separated list of hosts."""
    loader = DataLoader()
    loader.set_vault_secrets(_prepare_ansible())
    loader.set_basedir(str(ROOT / "playbooks"))
    inventory = InventoryManager(loader, sources=[source])
    found = VariableManager(loader, inventory).get_vars(host=inventory.get_hosts(name)[0])
    variables = {**_defaults(loader), **found, "playbook_dir": str(ROOT / "playbooks")}
    return Server(variables, Templar(loader, variables))


def load(file: Path) -> Any:
    """Load a YAML file. Returns None if it does not exist."""
    return DataLoader().load_from_file(str(file)) if file.exists() else None


@cache
def _prepare_ansible() -> list[tuple[str, VaultSecret]]:
    """Register the filters of the collections and the vault passwords, once per process."""
    init_plugin_loader()
    secrets = [(environment, VaultSecret(_password(environment))) for environment in ENVIRONMENTS]
    VaultSecretsContext.initialize(VaultSecretsContext(secrets))
    return secrets


def _password(environment: str) -> bytes:
    password = passwords.find(environment)
    assert password is not None, passwords.remedy(environment)
    return password.encode()


def _defaults(loader: DataLoader) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in ("vars", "defaults"):
        for role in ROLES:
            file = ROOT / "roles" / role / kind / "main.yml"
            if file.exists():
                found |= loader.load_from_file(str(file), trusted_as_template=True) or {}
    return found
