"""Principals: who makes a request, and with which role."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """The roles, each with all rights of the one before it."""

    VIEWER = "viewer"
    TRADER = "trader"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return _RANKS[self]

    def covers(self, needed: Role) -> bool:
        return self.rank >= needed.rank


_RANKS: Final = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class Principal:
    name: str
    role: Role
    session_id: str | None = None  # None: the request has no session

    @property
    def actor(self) -> str:
        """The name in events and the audit trail."""
        return f"user:{self.name}"


# The principal of all requests while authentication is disabled, which production refuses.
ANONYMOUS: Final = Principal("anybody", Role.ADMIN)
