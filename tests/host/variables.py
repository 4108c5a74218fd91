"""Inventory variables of the tested server, with the defaults of the roles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testinfra.backend.ansible import AnsibleBackend
from testinfra.host import Host

from tests.infra.rendering import Server, described

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]+)\}")


@dataclass(frozen=True)
class Variables:
    """The values by name, without the facts of the server."""

    server: Server

    @classmethod
    def of(cls, host: Host, config: pytest.Config) -> Variables:
        """Read the inventory of the pytest run. Without an inventory, use the defaults of the roles."""
        inventory = config.getoption("--ansible-inventory")
        if inventory is None or not isinstance(host.backend, AnsibleBackend):
            found = described("localhost,", "localhost")
        else:
            found = described(str(Path(inventory).resolve()), host.backend.host)
        memory = host.check_output("awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo")
        # The fact on which a default depends.
        known = {**found.variables, "ansible_facts": {"memtotal_mb": int(memory)}}
        return cls(Server(known, found.templar.copy_with_new_env(available_variables=known)))

    def __getitem__(self, name: str) -> Any:
        return self.server.value(name)

    def expand(self, text: str) -> str:
        """Replace each `{variable}` in the text with its value."""
        return PLACEHOLDER.sub(lambda found: str(self[found[1]]), text)

    def has(self, name: str) -> bool:
        """Return True if the variable is defined."""
        return name in self.server.variables
