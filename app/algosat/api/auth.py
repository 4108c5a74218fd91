"""Logging in and out, sessions, the caller's own password."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from flask import request
from pydantic import Field, SecretStr
from typing_extensions import TypedDict

from algosat.api.access import Access
from algosat.api.context import caller, cause, correlation_id, services
from algosat.api.pages import Everything, page
from algosat.api.request_models import Input
from algosat.api.routes import Routes
from algosat.errors import Conflict, NotFound, TooManyRequests, Unauthenticated
from algosat.security import sessions, users
from algosat.security.passwords import LONGEST
from algosat.security.sessions import Session
from algosat.security.token_grants import Client, Grant

routes = Routes("identity")

Password = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST)]


class Credentials(Input):
    username: Annotated[str, Field(min_length=1, max_length=128)]
    password: Password


class RefreshBody(Input):
    refresh_token: Annotated[SecretStr, Field(min_length=1, max_length=4096)]


class PasswordChange(Input):
    current_password: Password
    new_password: Password


class UserInfo(TypedDict):
    username: str
    role: str


class TokenAnswer(TypedDict):
    access_token: str
    token_type: str
    expires_in: int
    user_info: UserInfo
    refresh_token: str


class Message(TypedDict):
    message: str


class SessionView(TypedDict):
    id: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    address: str
    user_agent: str
    current: bool


@routes.post(
    "/auth/login",
    access=Access.PUBLIC,
    body=Credentials,
    answer=TokenAnswer,
    errors=(Unauthenticated, TooManyRequests),
)
def log_in(body: Credentials) -> TokenAnswer:
    """Name and password for tokens"""
    client = Client(request.remote_addr or "unknown", request.headers.get("User-Agent", ""))
    password = body.password.get_secret_value()
    return _tokens(services().identity.log_in(body.username, password, client, correlation_id()))


@routes.post(
    "/auth/refresh", access=Access.PUBLIC, body=RefreshBody, answer=TokenAnswer, errors=(Unauthenticated,)
)
def refresh(body: RefreshBody) -> TokenAnswer:
    """New tokens for a refresh token, which is spent by it"""
    return _tokens(services().identity.refresh(body.refresh_token.get_secret_value(), correlation_id()))


@routes.post("/auth/logout", access=Access.VIEWER, answer=Message)
def log_out() -> Message:
    """End this session: its tokens are worth nothing from now on"""
    services().identity.log_out(_own_session(), cause(), caller().name)
    return {"message": "Logged out"}


@routes.get("/auth/sessions", access=Access.VIEWER, answer=Everything[SessionView])
def list_sessions() -> dict[str, Any]:
    """The caller's own sessions"""
    with services().database.read() as connection:
        user = users.get(connection, caller().name)
        found = sessions.alive(connection, user.id, services().clock())
    return page((_session(each) for each in found), None)


@routes.delete("/auth/sessions/<uuid:session_id>", access=Access.VIEWER, answer=Message, errors=(NotFound,))
def end_session(session_id: UUID) -> Message:
    """End one of the caller's own sessions"""
    with services().database.read() as connection:
        user = users.get(connection, caller().name)
        found = sessions.find(connection, str(session_id))
    if found is None or found.user_id != user.id:
        raise NotFound(f"you have no session {session_id}")
    services().identity.log_out(found.id, cause(), caller().name)
    return {"message": "The session has ended"}


@routes.put(
    "/auth/password",
    access=Access.VIEWER,
    body=PasswordChange,
    answer=Message,
    errors=(Unauthenticated, TooManyRequests),
)
def change_password(body: PasswordChange) -> Message:
    """Change the caller's password and end his other sessions"""
    services().identity.change_password(
        caller().name,
        _own_session(),
        request.remote_addr or "unknown",
        body.current_password.get_secret_value(),
        body.new_password.get_secret_value(),
        cause(),
    )
    return {"message": "The password is changed; all other sessions have ended"}


def _own_session() -> str:
    session_id = caller().session_id
    if session_id is None:
        raise Conflict("Authentication is switched off: there is no session", code="no_session")
    return session_id


def _tokens(grant: Grant) -> TokenAnswer:
    return {
        "access_token": grant.access_token,
        "token_type": "bearer",
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
