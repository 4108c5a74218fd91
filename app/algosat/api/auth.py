"""Routes to log in and out, to list login sessions and to change one's own password."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from flask import request
from pydantic import Field, SecretStr

from algosat.api.access import Access
from algosat.api.context import caller, cause, correlation_id, services
from algosat.api.fields import Timestamp, Username
from algosat.api.pages import Everything, page
from algosat.api.request_models import Input
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.errors import LockedOut, NoSession, NotFound, Unauthenticated, WeakPassword, WrongCredentials
from algosat.security import sessions, users
from algosat.security.passwords import LONGEST
from algosat.security.sessions import Session
from algosat.security.token_grants import Client, Grant

routes = Routes("identity", "Log in and out, login sessions, and the caller's own password.")

Password = Annotated[
    SecretStr, Field(min_length=1, max_length=LONGEST, examples=["correct horse battery staple"])
]


class Credentials(Input):
    """Username and password."""

    username: Annotated[str, Field(min_length=1, max_length=128, examples=["trader"])]
    """Name of the user."""
    password: Password
    """Password of the user."""


class RefreshBody(Input):
    """A refresh token."""

    refresh_token: Annotated[
        SecretStr, Field(min_length=1, max_length=4096, examples=["eyJhbGciOiJIUzI1NiJ9.refresh.signature"])
    ]
    """Refresh token from the last login or refresh. A refresh token can be used once."""


class PasswordChange(Input):
    """The caller's current and new password."""

    current_password: Password
    """Password until now."""
    new_password: Annotated[Password, Field(examples=["a longer passphrase than before"])]
    """Password from now on."""


class UserInfo(Output):
    """The user who logged in."""

    username: Username
    """Name of the user."""
    role: Annotated[str, Field(examples=["trader"])]
    """`viewer`, `trader` or `admin`."""


class TokensView(Output):
    """Tokens of a login session."""

    access_token: Annotated[str, Field(examples=["eyJhbGciOiJIUzI1NiJ9.access.signature"])]
    """Token for the header `Authorization: Bearer ACCESS_TOKEN`."""
    token_type: Annotated[str, Field(examples=["bearer"])]
    """Always `bearer`."""
    expires_in: Annotated[int, Field(examples=[1800])]
    """Seconds until the access token expires."""
    user_info: UserInfo
    """Name and role of the user."""
    refresh_token: Annotated[str, Field(examples=["eyJhbGciOiJIUzI1NiJ9.refresh.signature"])]
    """Token that `POST /auth/refresh` exchanges, once, for new tokens."""


class Message(Output):
    """Confirmation."""

    message: Annotated[str, Field(examples=["Logged out"])]
    """What was done."""


class SessionView(Output):
    """A login session of the caller."""

    id: Annotated[str, Field(examples=["0f8c6a52-6f0b-4f0e-8a55-3f1f0d6f2c11"])]
    """Id of the session."""
    created_at: Timestamp
    """Time of the login."""
    last_seen_at: Timestamp
    """Time of the last request, to the minute."""
    expires_at: Timestamp
    """Time at which the refresh token expires."""
    address: Annotated[str, Field(examples=["203.0.113.7"])]
    """IP address of the login."""
    user_agent: Annotated[str, Field(examples=["python-httpx/0.28.1"])]
    """`User-Agent` of the login."""
    current: Annotated[bool, Field(examples=[True])]
    """Whether this request belongs to the session."""


@routes.post(
    "/auth/login",
    access=Access.PUBLIC,
    body=Credentials,
    answer=TokensView,
    errors=(WrongCredentials, LockedOut),
)
def log_in(body: Credentials) -> TokensView:
    """Exchange username and password for tokens"""
    client = Client(request.remote_addr or "unknown", request.headers.get("User-Agent", ""))
    password = body.password.get_secret_value()
    return _tokens(services().identity.log_in(body.username, password, client, correlation_id()))


@routes.post(
    "/auth/refresh", access=Access.PUBLIC, body=RefreshBody, answer=TokensView, errors=(Unauthenticated,)
)
def refresh(body: RefreshBody) -> TokensView:
    """Exchange a refresh token, once, for new tokens"""
    return _tokens(services().identity.refresh(body.refresh_token.get_secret_value(), correlation_id()))


@routes.post("/auth/logout", access=Access.VIEWER, answer=Message, errors=(NoSession,))
def log_out() -> Message:
    """End the login session of the caller's token"""
    services().identity.log_out(_own_session(), cause(), caller().name)
    return {"message": "Logged out"}


@routes.get("/auth/sessions", access=Access.VIEWER, answer=Everything[SessionView], errors=(NotFound,))
def list_sessions() -> dict[str, Any]:
    """List the caller's login sessions"""
    with services().database.read() as connection:
        user = users.get(connection, caller().name)
        found = sessions.alive(connection, user.id, services().clock())
    return page((_session(each) for each in found), None)


@routes.delete("/auth/sessions/<uuid:session_id>", access=Access.VIEWER, answer=Message, errors=(NotFound,))
def end_session(session_id: UUID) -> Message:
    """End one of the caller's login sessions"""
    with services().database.read() as connection:
        user = users.get(connection, caller().name)
        found = sessions.find(connection, str(session_id))
    if found is None or found.user_id != user.id:
        raise NotFound(f"you have no session {session_id}")
    services().identity.log_out(found.id, cause(), caller().name)
    return {"message": "Session ended"}


@routes.put(
    "/auth/password",
    access=Access.VIEWER,
    body=PasswordChange,
    answer=Message,
    errors=(WrongCredentials, LockedOut, WeakPassword, NoSession),
)
def change_password(body: PasswordChange) -> Message:
    """Change the caller's password and end their other login sessions"""
    services().identity.change_password(
        caller().name,
        _own_session(),
        request.remote_addr or "unknown",
        body.current_password.get_secret_value(),
        body.new_password.get_secret_value(),
        cause(),
    )
    return {"message": "Password changed; all other sessions ended"}


def _own_session() -> str:
    session_id = caller().session_id
    if session_id is None:
        raise NoSession("Authentication is disabled, so there is no session")
    return session_id


def _tokens(grant: Grant) -> TokensView:
    return {
        "access_token": grant.access_token,
        "token_type": "bearer",  # nosec B105
        "expires_in": int(grant.lifetime.total_seconds()),
        "user_info": {"username": grant.user.username, "role": grant.user.role.value},
        "refresh_token": grant.refresh_token,
    }


def _session(session: Session) -> SessionView:
    return {
        "id": session.id,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
        "expires_at": session.expires_at,
        "address": session.address,
        "user_agent": session.user_agent,
        "current": session.id == caller().session_id,
    }
