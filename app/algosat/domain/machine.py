"""The machine that a store belongs to, so that a copy of the store on another machine does not trade."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

# The application's id for systemd's machine ids. Another value would make every store ask to be adopted.
APPLICATION: Final = "7d0c5e9f2b6a4c1b9e3f8a5d60c4b217"

_SHORT: Final = 8  # characters of an id that people read


class StoreState(StrEnum):
    """What a store is to a machine."""

    UNCLAIMED = "unclaimed"  # no engine has led on the store: the first one claims it
    OWNED = "owned"  # the store belongs to this machine
    OTHER = "other_machine"  # the store belongs to another machine: nothing is sent until it is adopted


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, by an id that does not reveal the one in /etc/machine-id."""

    id: str
    name: str  # the host name, for people only

    def __str__(self) -> str:
        return f"{self.name} ({self.id[:_SHORT]})"


def state_for(machine: Machine, owner: Machine | None) -> StoreState:
    """Return what a store of this owner is to the machine. A changed host name makes no difference."""
    if owner is None:
        return StoreState.UNCLAIMED
    return StoreState.OWNED if owner.id == machine.id else StoreState.OTHER


def halt_reason(machine: Machine, owner: Machine, last_used: datetime | None) -> str:
    """Return why trading is halted on a machine that does not own the store.

    Args:
        last_used: When an engine last led on the store; None: never.
    """
    used = "never used" if last_used is None else f"last used at {last_used:%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"the store belongs to the machine {owner}, {used} there, and was started on {machine}. Stop the "
        "engine of the other machine, then run `algosat engine adopt` on this one"
    )
