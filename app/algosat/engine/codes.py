"""Why the engine itself refuses or gives up on something."""

from __future__ import annotations

from algosat.domain.reason_codes import Code


class EngineCode(Code):
    """Codes of rejections that are not the broker's, with the words the API's documentation gives them."""

    SEND_DEADLINE = "send_deadline", "The order could not be sent within the time allowed; it never left."
    BROKER_UNAVAILABLE = "broker_unavailable", "The broker could not be used in time; the order never left."
    HALTED_BEFORE_SENDING = "halted_before_sending", "Trading was halted before the order left."
    CHANGE_UNCONFIRMED = "change_unconfirmed", "The broker did not confirm the change."
    CANCEL_REFUSED = "cancel_refused", "The broker did not cancel the order."
    DAY_ENDED = "day_ended", "The trading day ended, and the broker's book has the order no more."
    NOT_FOUND = "not_found", "The broker's book does not have the order; whether it was taken is not known."
    NEVER_SENT = "never_sent", "The engine stopped before the order left; the broker's book proves it."
    INTERRUPTED = "interrupted", "The engine stopped while the order was on its way."
