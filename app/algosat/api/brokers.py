"""Routes that ask the brokers of the accounts, through the engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from algosat.api.access import Access
from algosat.api.context import cause, receive_answer, services
from algosat.api.fields import AccountName, Timestamp
from algosat.api.pages import Everything, page
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.errors import AlgosatError, NotFound
from algosat.trading.engine_requests import ERRORS, RequestKind

routes = Routes("brokers", "The brokers of the accounts, as the engine reaches them.")


class BrokerSessionView(Output):
    """The session of an account at its broker."""

    account: AccountName
    broker: Annotated[str, Field(examples=["paper"])]
    """Broker of the account."""
    active: bool
    """Whether orders can be sent."""
    detail: Annotated[str, Field(examples=["the paper market is running"])]
    """State of the session in a sentence."""
    expires_at: Timestamp | None
    """When the session ends; null if that is not known."""


class BrokerProblem(Output):
    """Why a broker could not be asked."""

    code: Annotated[str, Field(examples=["engine_absent"])]
    """Stable name of the error for programs."""
    detail: Annotated[str, Field(examples=["no engine runs, and only the engine asks the broker"])]
    """The reason, with the remedy."""


class BrokerView(Output):
    """An account's broker."""

    account: AccountName
    broker: Annotated[str, Field(examples=["paper"])]
    """Broker of the account."""
    session: BrokerSessionView | None
    """The session at the broker; null if the broker could not be asked."""
    problem: BrokerProblem | None
    """Why the broker could not be asked; null if it answered."""


@routes.get("/brokers", access=Access.VIEWER, answer=Everything[BrokerView])
def list_brokers() -> dict[str, Any]:
    """List the accounts' brokers with their sessions

    All brokers are asked at the same time. One that does not answer has a problem in place of its session.
    """
    asked = [(each.account, _sent(each.account)) for each in services().desks]
    return page((_broker(account, receive) for account, receive in asked), None)


@routes.get(
    "/brokers/<name:account>/session",
    access=Access.VIEWER,
    answer=BrokerSessionView,
    errors=(NotFound, *ERRORS),
)
def show_broker_session(account: str) -> BrokerSessionView:
    """Show the session of an account at its broker"""
    return _session(account)()


def _session(account: str) -> Callable[[], BrokerSessionView]:
    """Ask for the session of an account. Returns the function that waits for the answer."""
    name = services().desks.of(account).account
    request = services().engine_requests.send(RequestKind.SESSION, name, {}, cause())
    return lambda: _view(name, receive_answer(request))


def _sent(account: str) -> Callable[[], BrokerSessionView]:
    try:
        return _session(account)
    except AlgosatError as error:
        return _raising(error)


def _raising(error: AlgosatError) -> Callable[[], BrokerSessionView]:
    def fail() -> BrokerSessionView:
        raise error

    return fail


def _broker(account: str, receive: Callable[[], BrokerSessionView]) -> BrokerView:
    session, problem = None, None
    try:
        session = receive()
    except ERRORS as error:
        problem = BrokerProblem(code=error.reported_code, detail=error.detail)
    return {"account": account, "broker": _broker_of(account), "session": session, "problem": problem}


def _view(account: str, answer: dict[str, Any]) -> BrokerSessionView:
    expires_at = answer["expires_at"]
    return {
        "account": account,
        "broker": _broker_of(account),
        "active": answer["active"],
        "detail": answer["detail"],
        "expires_at": None if expires_at is None else datetime.fromisoformat(expires_at),
    }


def _broker_of(account: str) -> str:
    accounts = services().live.files.algosat.accounts
    return next(each.broker for each in accounts if each.name == account)
