"""What a server was told: the values of its inventory over the defaults, which tests then expect."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testinfra.backend.ansible import AnsibleBackend
from testinfra.host import Host

from tests.infra.rendering import Server, described

PLACE = re.compile(r"\{([a-z][a-z0-9_]+)\}")


@dataclass(frozen=True)
class Told:
    """Every variable by its name; facts of the server are not among them."""

    server: Server

    @classmethod
    def of(cls, host: Host, config: pytest.Config) -> Told:
        """By the inventory the run was given; a server that was merely named has the defaults."""
        inventory = config.getoption("--ansible-inventory")
        if inventory is None or not isinstance(host.backend, AnsibleBackend):
            return cls(described("localhost,", "localhost"))
        return cls(described(str(Path(inventory).resolve()), host.backend.host))

    def __getitem__(self, name: str) -> Any:
        return self.server.value(name)

    def __call__(self, text: str) -> str:
        """The text with the values of the variables in its braces."""
        return PLACE.sub(lambda found: str(self[found[1]]), text)

    def has(self, name: str) -> bool:
        """Whether there is a value at all."""
        return name in self.server.variables
