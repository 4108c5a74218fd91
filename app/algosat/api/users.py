"""Routes to manage users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, SecretStr, StringConstraints
from sqlalchemy import Connection

from algosat.api.access import Access
from algosat.api.context import cause, services
from algosat.api.fields import Timestamp, Username
from algosat.api.pages import Everything, page
from algosat.api.request_models import Input
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.errors import LastAdmin, NotFound, UserExists, WeakPassword
from algosat.security import users
from algosat.security.passwords import LONGEST, require_strong
from algosat.security.principals import Role
from algosat.security.users import NAME_FORM, User

routes = Routes("users", "Manage users.")

NewPassword = Annotated[
    SecretStr, Field(min_length=1, max_length=LONGEST, examples=["correct horse battery staple"])
]


class NewUser(Input):
    """A user to add."""

    username: Annotated[str, StringConstraints(pattern=NAME_FORM), Field(examples=["trader"])]
    """Name to log in with."""
    password: NewPassword
    """First password."""
    role: Annotated[Role, Field(examples=["trader"])]
    """Role of the user."""


class UserChange(Input):
    """Changes to a user. Omitted fields keep their value."""

    role: Annotated[Role | None, Field(examples=["viewer"])] = None
    """New role."""
    disabled: bool | None = None
    """Whether the user may no longer log in."""
    password: NewPassword | None = None
    """New password; it ends the user's sessions."""


class UserView(Output):
    """A user."""

    username: Username
    """Name to log in with."""
    role: Annotated[str, Field(examples=["trader"])]
    """`viewer`, `trader` or `admin`."""
    disabled: bool
    """Whether the user may no longer log in."""
    created_at: Timestamp
    """Time at which the user was added."""
    password_changed_at: Timestamp
    """Time of the last change of the password."""


@routes.get("/users", access=Access.ADMIN, answer=Everything[UserView])
def list_users() -> dict[str, Any]:
    """List all users"""
    with services().database.read() as connection:
        return page((_view(user) for user in users.everybody(connection)), None)


@routes.get("/users/<name:name>", access=Access.ADMIN, answer=UserView, errors=(NotFound,))
def show_user(name: str) -> UserView:
    """Show one user"""
    with services().database.read() as connection:
        return _view(users.get(connection, name))


@routes.post(
    "/users",
    access=Access.ADMIN,
    body=NewUser,
    answer=UserView,
    status=201,
    errors=(UserExists, WeakPassword),
)
def add_user(body: NewUser) -> UserView:
    """Add a user"""
    password = body.password.get_secret_value()
    require_strong(password, body.username)
    hashed, now, why = services().passwords.hash(password), services().clock(), cause()
    return _view(
        services().writer.run(
            lambda connection: users.add(connection, body.username, hashed, body.role, now, why)
        )
    )


@routes.patch(
    "/users/<name:name>",
    access=Access.ADMIN,
    body=UserChange,
    answer=UserView,
    errors=(NotFound, LastAdmin, WeakPassword),
)
def change_user(name: str, body: UserChange) -> UserView:
    """Change a user's role or password, or disable the user"""
    return _view(services().writer.run(_change(name, body)))


def _change(name: str, body: UserChange) -> Callable[[Connection], User]:
    """Return the unit of work that makes every change, or none."""
    now, why, hashed = services().clock(), cause(), None
    if body.password is not None:
        require_strong(body.password.get_secret_value(), name)
        hashed = services().passwords.hash(body.password.get_secret_value())

    def change(connection: Connection) -> User:
        users.get(connection, name)
        if body.role is not None:
            users.set_role(connection, name, body.role, now, why)
        if body.disabled is not None:
            users.set_disabled(connection, name, body.disabled, now, why)
        if hashed is not None:
            users.set_password(connection, name, hashed, now, why)
        return users.get(connection, name)

    return change


def _view(user: User) -> UserView:
    return {
        "username": user.username,
        "role": user.role.value,
        "disabled": user.disabled,
        "created_at": user.created_at,
        "password_changed_at": user.password_changed_at,
    }
