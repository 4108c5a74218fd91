"""Who makes a request, and what that lets him do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Each may do all that the one before it may."""

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
    session_id: str | None = None  # none where no session stands behind it

    @property
    def actor(self) -> str:
        """How events name him."""
        return f"user:{self.name}"


# Who everybody is while authentication is switched off, which production refuses.
ANONYMOUS: Final = Principal("anybody", Role.ADMIN)
