"""Arming of live accounts: which orders an account takes."""

from __future__ import annotations

from enum import StrEnum


class Arming(StrEnum):
    """A live account is read-only until an admin arms it. Once it was armed, exits always pass."""

    ARMED = "armed"  # also of every account that is not live
    EXITS_ONLY = "exits_only"  # disarmed
    READ_ONLY = "read_only"  # never armed
