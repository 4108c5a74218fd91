"""Routes that arm and disarm live accounts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from algosat.api.access import Access
from algosat.api.context import cause, services
from algosat.api.fields import AccountMode, AccountName
from algosat.api.request_models import Input
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.domain.arming import Arming
from algosat.errors import Conflict, NotFound
from algosat.trading import arming
from algosat.trading.desk import Desk

routes = Routes("accounts")


class ArmingBody(Input):
    """Why an account is armed or disarmed."""

    reason: Annotated[str, Field(min_length=1, max_length=500, examples=["first day with real money"])]
    """Reason, for the audit trail."""


class AccountArmingView(Output):
    """Which orders an account takes."""

    account: AccountName
    mode: AccountMode
    arming: Annotated[Arming, Field(examples=["armed"])]
    """`read_only`: a live account that was never armed takes no orders. `exits_only`: it was disarmed."""


@routes.get(
    "/accounts/<name:account>/arming", access=Access.VIEWER, answer=AccountArmingView, errors=(NotFound,)
)
def show_arming(account: str) -> AccountArmingView:
    """Show whether an account takes orders"""
    return _shown(services().desks.of(account))


@routes.post(
    "/accounts/<name:account>/arm",
    access=Access.ADMIN,
    body=ArmingBody,
    answer=AccountArmingView,
    errors=(NotFound, Conflict),
)
def arm_account(account: str, body: ArmingBody) -> AccountArmingView:
    """Let a live account take orders

    It starts with a hundredth of the limits of the settings. Only `PUT /risk/limits` widens them.
    """
    desk = services().desks.of(account)
    arming.arm(desk, body.reason, cause())
    return _shown(desk)


@routes.post(
    "/accounts/<name:account>/disarm",
    access=Access.ADMIN,
    body=ArmingBody,
    answer=AccountArmingView,
    errors=(NotFound, Conflict),
)
def disarm_account(account: str, body: ArmingBody) -> AccountArmingView:
    """Let a live account take exits only

    Working orders stay. `POST /risk/halt` with the scope `account:NAME` cancels them.
    """
    desk = services().desks.of(account)
    arming.disarm(desk, body.reason, cause())
    return _shown(desk)


def _shown(desk: Desk) -> AccountArmingView:
    with desk.database.read() as connection:
        found = arming.arming(connection, desk)
    return {"account": desk.account, "mode": desk.mode, "arming": found}
