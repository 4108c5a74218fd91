"""The scope of a halt, of limits and of a day's baseline: the whole account, or one strategy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# The names of the whole account in stored rows and in the API. No strategy or account may have one of them.
IN_HALTS: Final = "all"
IN_LIMITS: Final = "account"
IN_BASELINES: Final = "*"
TOTAL: Final = "total"  # limits of all accounts in one currency together
# The strategy under which orders and positions are booked that were opened outside Algosat. Only a request
# that names it closes them.
EXTERNAL: Final = "external"
RESERVED_NAMES: Final = frozenset({IN_HALTS, IN_LIMITS, IN_BASELINES, TOTAL, EXTERNAL})


@dataclass(frozen=True, slots=True)
class Scope:
    strategy: str | None = None  # None: the whole account

    @classmethod
    def named(cls, name: str, account: str) -> Scope:
        """Return the scope with this name, where `account` is the name of the whole account."""
        return cls(None if name == account else name)

    def name(self, account: str) -> str:
        """Return the name of the scope, where `account` is the name of the whole account."""
        return account if self.strategy is None else self.strategy

    def covers(self, strategy: str | None) -> bool:
        """Return whether orders and positions of a strategy (None or '': placed by hand) are in the scope."""
        return self.strategy is None or self.strategy == (strategy or "")


ACCOUNT: Final = Scope()
