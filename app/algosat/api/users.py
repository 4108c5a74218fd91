"""Users, for admins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, SecretStr, StringConstraints
from sqlalchemy import Connection
from typing_extensions import TypedDict

from algosat.api.access import Access
from algosat.api.context import cause, services
from algosat.api.pages import Everything, page
from algosat.api.request_models import Input
from algosat.api.routes import Routes
from algosat.errors import Conflict, NotFound
from algosat.security import users
from algosat.security.passwords import LONGEST, require_strong
from algosat.security.principals import Role
from algosat.security.users import NAME_FORM, User

routes = Routes("users")

NewPassword = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST)]


class NewUser(Input):
    username: Annotated[str, StringConstraints(pattern=NAME_FORM)]
    password: NewPassword
    role: Role


class UserChange(Input):
    """What is left out stays as it is."""

    role: Role | None = None
    disabled: bool | None = None
    password: NewPassword | None = None


class UserView(TypedDict):
    username: str
    role: str
    disabled: bool
    created_at: datetime
    password_changed_at: datetime


@routes.get("/users", access=Access.ADMIN, answer=Everything[UserView])
def list_users() -> dict[str, Any]:
    """Every user"""
    with services().database.read() as connection:
        return page((_view(user) for user in users.everybody(connection)), None)


@routes.get("/users/<name:name>", access=Access.ADMIN, answer=UserView, errors=(NotFound,))
def show_user(name: str) -> UserView:
    """One user"""
    with services().database.read() as connection:
        return _view(users.get(connection, name))


@routes.post("/users", access=Access.ADMIN, body=NewUser, answer=UserView, status=201, errors=(Conflict,))
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
    errors=(NotFound, Conflict),
)
def change_user(name: str, body: UserChange) -> UserView:
    """Change a user's role or password, or switch him off"""
    return _view(services().writer.run(_change(name, body)))


def _change(name: str, body: UserChange) -> Callable[[Connection], User]:
    """All of it or nothing."""
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
