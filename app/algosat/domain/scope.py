"""The scope of a halt, of limits and of a day's baseline: every account, one account, or one strategy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# The names of the widest scope in stored rows and in the API. No strategy or account may have one of them.
IN_HALTS: Final = "all"  # every account
IN_LIMITS: Final = "account"  # in the API the account of the request, in stored rows `ORIGINAL_ACCOUNT`
IN_BASELINES: Final = "*"  # the account of the row
TOTAL: Final = "total"  # limits of all accounts in one currency together
# The only account of releases that knew one: what their rows say without an account is about this one.
ORIGINAL_ACCOUNT: Final = "paper"
# The strategy under which orders and positions are booked that were opened outside Algosat. Only a request
# that names it closes them.
EXTERNAL: Final = "external"
RESERVED_NAMES: Final = frozenset({IN_HALTS, IN_LIMITS, IN_BASELINES, TOTAL, EXTERNAL})


_OF_ACCOUNT: Final = "account:"


@dataclass(frozen=True, slots=True)
class Scope:
    strategy: str | None = None  # None: all strategies, and orders placed by hand
    account: str | None = None  # None: every account in halts; elsewhere the account that is spoken of

    @classmethod
    def named(cls, name: str, widest: str) -> Scope:
        """Return the scope with this name, where `widest` is the name of the widest one."""
        if name.startswith(_OF_ACCOUNT):
            return cls(account=name.removeprefix(_OF_ACCOUNT))
        return cls(None if name == widest else name)

    def name(self, widest: str) -> str:
        """Return the name of the scope, where `widest` is the name of the widest one."""
        if self.account is not None:
            return f"{_OF_ACCOUNT}{self.account}"
        return widest if self.strategy is None else self.strategy

    def covers(self, strategy: str | None) -> bool:
        """Return whether orders and positions of a strategy (None or '': placed by hand) are in the scope."""
        return self.strategy is None or self.strategy == (strategy or "")

    def is_of(self, account: str) -> bool:
        """Return whether the scope includes orders of this account."""
        return self.account is None or self.account == account


ACCOUNT: Final = Scope()
