"""Access levels of routes. Every route states its level where it is registered; there is no default.

The inventory can be stricter: `admin_only_endpoints` lists routes that need an admin, and of the routes
with level `open` only those in `public_endpoints` answer without a token.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from algosat.config.problems import Problem
from algosat.config.settings import AccessControlSettings
from algosat.security.principals import Role
from algosat.validation_errors import suggestion


class Access(StrEnum):
    PUBLIC = "public"  # always public: the login, which comes before any token
    OPEN = "open"  # public if listed in `public_endpoints`, otherwise for every user
    VIEWER = "viewer"
    TRADER = "trader"
    ADMIN = "admin"


_ROLES: Final = {
    Access.PUBLIC: None,
    Access.OPEN: Role.VIEWER,
    Access.VIEWER: Role.VIEWER,
    Access.TRADER: Role.TRADER,
    Access.ADMIN: Role.ADMIN,
}


def needed_role(path: str, access: Access, control: AccessControlSettings) -> Role | None:
    """Return the lowest role that may use the route `path`, or None if the route is public."""
    if path in control.admin_only_endpoints:
        return Role.ADMIN
    if access is Access.OPEN and path in control.public_endpoints:
        return None
    return _ROLES[access]


def problems(levels: Iterable[tuple[str, Access]], control: AccessControlSettings) -> list[Problem]:
    """Return the access rules that name an unknown route or cannot apply. A typo must not open a route."""
    known: dict[str, set[Access]] = {}
    for path, access in levels:
        known.setdefault(path, set()).add(access)
    found = []
    for path in control.admin_only_endpoints:
        if path not in known:
            found.append(
                _problem(
                    "admin_only_endpoints", f"{path} is not a route of this server{suggestion(path, known)}"
                )
            )
        elif Access.PUBLIC in known[path]:
            found.append(_problem("admin_only_endpoints", f"{path} must stay public: users log in here"))
    for path in control.public_endpoints:
        if path not in known:
            found.append(
                _problem("public_endpoints", f"{path} is not a route of this server{suggestion(path, known)}")
            )
        elif not known[path] <= {Access.PUBLIC, Access.OPEN}:
            found.append(_problem("public_endpoints", f"{path} may not be public"))
    return found


def _problem(key: str, text: str) -> Problem:
    return Problem("security.yaml", f"access_control.{key}", text)
