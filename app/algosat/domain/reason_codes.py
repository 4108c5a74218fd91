"""Reason codes, each with the help text that the API's documentation shows."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """A reason code: the member's value is the code, `help_text` explains it."""

    help_text: str

    def __new__(cls, value: str, help_text: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.help_text = help_text
        return member


class EngineCode(Code):
    """Why the engine, not the broker, rejected an order, gave up on a request or closed a position."""

    SEND_DEADLINE = "send_deadline", "The order could not be sent within the deadline and was never sent."
    BROKER_UNAVAILABLE = (
        "broker_unavailable",
        "The broker was unavailable until the deadline; the order was never sent.",
    )
    HALTED_BEFORE_SENDING = "halted_before_sending", "Trading was halted before the request was sent."
    CHANGE_UNCONFIRMED = "change_unconfirmed", "The broker did not confirm the change."
    CANCEL_REFUSED = "cancel_refused", "The broker did not cancel the order."
    DAY_ENDED = "day_ended", "The trading day ended, and the broker no longer works the order."
    NOT_FOUND = (
        "not_found",
        "The broker's order book does not contain the order; whether the broker accepted it is not known.",
    )
    NEVER_SENT = (
        "never_sent",
        "The engine stopped before the order was sent; the broker's order book proves it.",
    )
    EXPIRY_SETTLED = (
        "expiry_settled",
        "The contract expired. This order records the exchange's settlement of the position.",
    )
    BOOK_ADJUSTED = (
        "book_adjusted",
        "An admin, or the broker's statement of holdings, adjusted the position. This order records it.",
    )
    EXCESS_EXTERNAL = (
        "excess_external",
        "An external order traded more than was held by hand. The strategy `external` holds the excess.",
    )
    POSITION_CONVERTED = (
        "position_converted",
        "The broker converted the position to another product. This order records one side of it.",
    )
    FILL_INFERRED = (
        "fill_inferred",
        "The broker reports the order filled, but not its trades: a fill is booked in their place.",
    )
    FILL_CONFIRMED = "fill_confirmed", "The broker's trades have replaced the inferred fill."
    INTERRUPTED = "interrupted", "The engine stopped while the order was being sent."
