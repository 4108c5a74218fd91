"""Routes that ask the brokers of the accounts, through the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, SecretStr, StringConstraints, field_validator
from sqlalchemy import Connection

from algosat.api.access import Access
from algosat.api.context import cause, receive_answer, send_request, services
from algosat.api.fields import AccountName, Actor, Timestamp
from algosat.api.pages import Everything, page
from algosat.api.request_models import Input
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.domain.orders import OrderType, Product, Validity
from algosat.errors import AlgosatError, NotFound
from algosat.security import credentials
from algosat.security.credentials import (
    FIELD_FORM,
    LONGEST,
    MOST_FIELDS,
    BrokerLogin,
    CredentialField,
    NewValue,
)
from algosat.trading.engine_requests import ERRORS, RequestKind

routes = Routes("brokers", "The brokers of the accounts, as the engine reaches them, and their credentials.")

BrokerName = Annotated[str, Field(description="Broker of the account.", examples=["paper"])]


class CapabilitiesView(Output):
    """What the broker's adapter can do. An order that it cannot send is denied."""

    is_live: Annotated[bool, Field(examples=[False])]
    """Whether orders move real money."""
    order_types: list[OrderType]
    """Order types that can be sent."""
    validities: list[Validity]
    """Validities that can be sent."""
    products: list[Product]
    """Products that can be sent."""
    max_modifications: Annotated[int | None, Field(examples=[25])]
    """How often one order can be modified; null without a limit."""
    needs_login: Annotated[bool, Field(examples=[False])]
    """Whether a person must log in at the broker before orders can be sent."""
    has_history: Annotated[bool, Field(examples=[False])]
    """Whether order books of earlier days can be read."""
    has_positions: bool
    """Whether the broker states the positions."""
    has_holdings: bool
    """Whether the broker states the holdings."""
    has_funds: bool
    """Whether the broker states the funds."""
    has_candles: bool
    """Whether `GET /candles/{symbol}` has an answer."""
    has_conversion: Annotated[bool, Field(examples=[False])]
    """Whether a position can change its product."""


class BrokerSessionView(Output):
    """The session of an account at its broker."""

    account: AccountName
    broker: BrokerName
    state: Annotated[
        Literal["active", "expiring", "login_required", "egress_refused", "unreachable", "closed"],
        Field(examples=["active"]),
    ]
    """State of the session. `expiring`: log in again soon. `egress_refused`: the broker accepts no orders
    from this server's address. `closed`: the adapter does not run."""
    active: bool
    """Whether orders can be sent."""
    detail: Annotated[str, Field(examples=["the paper market is running"])]
    """State of the session in a sentence."""
    expires_at: Timestamp | None
    """When the session ends; null if that is not known."""
    clock_offset_seconds: Annotated[float | None, Field(examples=[0.2])]
    """The broker's clock minus the server's; null if it was not measured."""
    capabilities: CapabilitiesView
    """What the broker's adapter can do."""


class BrokerProblem(Output):
    """Why a broker could not be asked."""

    code: Annotated[str, Field(examples=["engine_absent"])]
    """Stable name of the error for programs."""
    detail: Annotated[str, Field(examples=["no engine runs, and only the engine asks the broker"])]
    """The reason, with the remedy."""


class BrokerView(Output):
    """An account's broker."""

    account: AccountName
    broker: BrokerName
    session: BrokerSessionView | None
    """The session at the broker; null if the broker could not be asked."""
    problem: BrokerProblem | None
    """Why the broker could not be asked; null if it answered."""


class ProbedCallView(Output):
    """One call of a probe."""

    call: Annotated[str, Field(examples=["read_book"])]
    """Name of the call."""
    outcome: Annotated[Literal["answered", "failed", "unsupported", "skipped"], Field(examples=["answered"])]
    """What became of it. `unsupported`: the adapter cannot do it. `skipped`: no time was left."""
    milliseconds: Annotated[int, Field(examples=[48])]
    """Duration of the call."""
    detail: Annotated[str, Field(examples=["broker_unreachable: connection refused"])]
    """Why the call failed, without numbers and tokens; empty after an answer."""
    items: Annotated[int | None, Field(examples=[12])]
    """Number of items in the answer; null if the answer is no list."""
    sample: Annotated[Any, Field(examples=[{"symbol": "XXXXX-XX", "quantity": "##"}])]
    """The answer, or the first item of a list: names and enumerations as they are, all else masked."""


class BrokerCredentialValue(Input):
    """A field of a broker's credentials to set."""

    name: Annotated[str, StringConstraints(pattern=FIELD_FORM), Field(examples=["api_secret"])]
    """Name of the field, in the broker's own words."""
    value: Annotated[
        SecretStr, Field(min_length=1, max_length=LONGEST, examples=["p4QeW7xSecretOfTheBroker"])
    ]
    """Value, which is stored encrypted and never returned."""
    expires_at: Annotated[AwareDatetime | None, Field(examples=["2030-11-30T20:30:00Z"])] = None
    """Time at which the field is deleted, for a token; omitted: never."""


class NewBrokerCredentials(Input):
    """The credentials of an account's login at its broker."""

    fields: Annotated[list[BrokerCredentialValue], Field(max_length=MOST_FIELDS)]
    """All fields of the login. Fields that are stored and not among them are deleted."""

    @field_validator("fields")
    @classmethod
    def _have_names_of_their_own(cls, fields: list[BrokerCredentialValue]) -> list[BrokerCredentialValue]:
        names = Counter(each.name for each in fields)
        twice = [name for name, number in names.items() if number > 1]
        if twice:
            raise ValueError(f"the field {twice[0]} appears twice")
        return fields


class BrokerCredentialFieldView(Output):
    """A stored field of a broker's credentials, without its value."""

    name: Annotated[str, Field(examples=["api_secret"])]
    """Name of the field."""
    key: Annotated[str, Field(examples=["9f2c5b7d01e4a683"])]
    """Fingerprint of the encryption key that opens the value."""
    set_at: Timestamp
    """When the value was set."""
    set_by: Actor
    """Who set the value."""
    expires_at: Timestamp | None
    """When the field is deleted; null: never."""


class BrokerCredentialsView(Output):
    """The credentials of an account's login at its broker, without their values."""

    account: AccountName
    broker: BrokerName
    login: Annotated[str, Field(examples=["paper"])]
    """Name of the login at the broker."""
    fields: list[BrokerCredentialFieldView]
    """The stored fields."""


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
    return _session(services().desks.of(account).account)()


@routes.post(
    "/brokers/<name:account>/probe",
    access=Access.ADMIN,
    answer=Everything[ProbedCallView],
    errors=(NotFound, *ERRORS),
)
def probe_broker(account: str) -> dict[str, Any]:
    """Make every call to the broker that changes nothing

    The transcript shows the form of the answers without their content, so that it can be sent to others. The
    probe is recorded in the audit trail.
    """
    desk = services().desks.of(account)
    return page(receive_answer(send_request(RequestKind.PROBE, desk.account)), None)


@routes.put(
    "/brokers/<name:account>/credentials",
    access=Access.ADMIN,
    body=NewBrokerCredentials,
    answer=BrokerCredentialsView,
    errors=(NotFound,),
)
def set_broker_credentials(account: str, body: NewBrokerCredentials) -> BrokerCredentialsView:
    """Replace the credentials of an account's login at its broker

    The values are encrypted, and no route returns them. The names of the fields are recorded in the audit
    trail.
    """
    served = services()
    settings = served.settings_of(served.desks.of(account).account)
    login, now, why = BrokerLogin.of(settings), served.clock(), cause()
    values = {each.name: NewValue(each.value.get_secret_value(), each.expires_at) for each in body.fields}

    def unit(connection: Connection) -> list[CredentialField]:
        credentials.put(connection, served.keyring, login, values, now, why, keep_others=False)
        return credentials.listed(connection, now, login)

    return {
        "account": settings.name,
        "broker": login.broker,
        "login": login.name,
        "fields": [_field(each) for each in served.writer.run(unit)],
    }


def _field(stored: CredentialField) -> BrokerCredentialFieldView:
    return {
        "name": stored.field,
        "key": stored.key,
        "set_at": stored.set_at,
        "set_by": stored.set_by,
        "expires_at": stored.expires_at,
    }


def _session(account: str) -> Callable[[], BrokerSessionView]:
    """Ask for the session of an account. Returns the function that waits for the answer."""
    request = send_request(RequestKind.SESSION, account)
    return lambda: _view(account, receive_answer(request))


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
    return {
        "account": account,
        "broker": services().broker_of(account),
        "session": session,
        "problem": problem,
    }


def _view(account: str, answer: dict[str, Any]) -> BrokerSessionView:
    expires_at = answer["expires_at"]
    return {
        "account": account,
        "broker": services().broker_of(account),
        "state": answer["state"],
        "active": answer["active"],
        "detail": answer["detail"],
        "expires_at": None if expires_at is None else datetime.fromisoformat(expires_at),
        "clock_offset_seconds": answer["clock_offset_seconds"],
        "capabilities": answer["capabilities"],
    }
