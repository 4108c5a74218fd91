"""Kinds of alerts: conditions and events that need a person."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Severity(StrEnum):
    """How urgent an alert is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class AlertKind(StrEnum):
    """A kind of alert: the member's value is stored and shown, `help_text` explains it.

    Most alerts are conditions: `closes_itself` is True, and the alert stays open until the condition is
    over. The others are events, which close when a person acknowledges them.
    """

    severity: Severity
    help_text: str
    closes_itself: bool

    def __new__(cls, value: str, severity: Severity, help_text: str, closes_itself: bool = True) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.severity = severity
        member.help_text = help_text
        member.closes_itself = closes_itself
        return member

    BROKER_NOT_FOUND = (
        "broker.not_found",
        Severity.CRITICAL,
        "The broker's order book does not contain an order that was sent.",
    )
    BROKER_GHOST = (
        "broker.ghost",
        Severity.CRITICAL,
        "An order that is final here is still working at the broker; the engine cancels it there.",
    )
    BROKER_OVERFILL = (
        "broker.overfill",
        Severity.CRITICAL,
        "The broker reports trades in excess of an order's quantity; they are not booked.",
        False,
    )
    BROKER_FEED_DOWN = (
        "broker.feed_down",
        Severity.ERROR,
        "A feed of the broker is down: without quotes entries are denied, and fills are seen late.",
    )
    BROKER_TRADE_CONFLICT = (
        "broker.trade_conflict",
        Severity.CRITICAL,
        "The broker reports a booked trade again with another quantity or price; the first stays booked.",
        False,
    )
    BROKER_TRADES_MISSING = (
        "broker.trades_missing",
        Severity.CRITICAL,
        "The broker reports an order filled, but not its trades; after 2 minutes a fill is inferred.",
    )
    BROKER_VANISHED = (
        "broker.vanished",
        Severity.CRITICAL,
        "The broker's order book no longer contains an order that works here.",
    )
    BROKER_REPORT_REFUSED = (
        "broker.report_refused",
        Severity.CRITICAL,
        "A report of the broker could not be booked; the order may have fills that are not in the books.",
        False,
    )
    INSTRUMENTS_SKIPPED = (
        "instruments.skipped",
        Severity.WARNING,
        "The broker's list of instruments has rows that cannot be used; those instruments are not listed.",
    )
    INSTRUMENTS_MISSING = (
        "instruments.missing",
        Severity.ERROR,
        "The broker lists less than half the instruments of before; none is removed from the store.",
    )
    CALENDAR_ENDING = (
        "calendar.ending",
        Severity.WARNING,
        "The trading calendar ends within 45 days; after its end no position can be opened. Extend it.",
    )
    CALENDAR_ENDED = (
        "calendar.ended",
        Severity.CRITICAL,
        "The trading calendar has ended; no position can be opened, and the square-off waits. Extend it.",
    )
    CLOSE_NEEDS_PERSON = (
        "close.needs_person",
        Severity.CRITICAL,
        "A position cannot be closed without a person's help; the engine keeps trying.",
    )
    CONVERSION_UNKNOWN = (
        "conversion.unknown",
        Severity.CRITICAL,
        "The outcome of a conversion is not known; no exit is sent for its quantity. Settle the conversion.",
    )
    CLOSE_SQUARE_OFF_MISSED = (
        "close.square_off_missed",
        Severity.CRITICAL,
        "An intraday position was open after its trading day; it is closed when the market takes orders.",
        False,
    )
    RISK_UNPRICED = (
        "risk.unpriced",
        Severity.CRITICAL,
        "An open position has no current price; entries in its symbol are denied until it has one.",
    )
    RISK_START_PRICE_OLD = (
        "risk.start_price_old",
        Severity.ERROR,
        "The day's loss of a position is measured from a price older than the previous trading day.",
        False,
    )
    RISK_PNL_EXIT = (
        "risk.pnl_exit",
        Severity.WARNING,
        "A strategy has reached its profit target or loss limit of the day; its positions are closed.",
        False,
    )
    EXIT_KEPT_BACK = (
        "exit.kept_back",
        Severity.CRITICAL,
        "An exit was rejected, or denied because there is no price at all; the position is still open.",
    )
    EXIT_OLD_PRICE = (
        "exit.old_price",
        Severity.CRITICAL,
        "A market exit was sent with a limit computed from an old price; it may not be filled.",
    )
    ORDER_INCOMPLETE = (
        "order.incomplete",
        Severity.ERROR,
        "Slices of an order were rejected: only part of its quantity is in the market.",
        False,
    )
    CONTRACT_CLOSING = (
        "contract.closing",
        Severity.WARNING,
        "A position is closed before its contract expires, because the contract delivers shares.",
        False,
    )
    CONTRACT_UNSETTLED = (
        "contract.unsettled",
        Severity.CRITICAL,
        "A contract has expired, and the broker has not stated its settlement price.",
    )
    CONTRACT_NOT_CLOSED = (
        "contract.not_closed",
        Severity.ERROR,
        "A position in a contract that delivers shares was still open when the contract expired.",
        False,
    )
    GTT_DENIED = (
        "gtt.denied",
        Severity.ERROR,
        "The trigger price of a GTT order was reached, and its order was denied.",
        False,
    )
    LINKED_UNPROTECTED = (
        "linked.unprotected",
        Severity.CRITICAL,
        "A linked exit has no working stop, or its triggered stop is not filled; the engine tries again.",
    )
    BOOK_POSITION_DIFFERS = (
        "book.position_differs",
        Severity.CRITICAL,
        "A position or holding differs from the broker's, and no order under way explains it.",
    )
    BOOK_ORDER_DIFFERS = (
        "book.order_differs",
        Severity.CRITICAL,
        "The broker has filled more or less of an order than its trades account for.",
    )
    BOOK_CASH_DIFFERS = (
        "book.cash_differs",
        Severity.ERROR,
        "The cash differs from the broker's by more than charges that the broker has not booked yet.",
    )
    BOOK_NOT_COMPARED = (
        "book.not_compared",
        Severity.ERROR,
        "The books could not be compared with the broker's: it does not state its figures.",
    )
    BROKER_OUTCOME_UNKNOWN = (
        "broker.outcome_unknown",
        Severity.ERROR,
        "The broker has not told for 10 s what became of an order; entries in its symbol are denied so long.",
    )
    BROKER_OUTCOME_MISSED = (
        "broker.outcome_missed",
        Severity.CRITICAL,
        "An order's trading day ended while the engine was down, and the broker no longer shows its outcome.",
        False,
    )
    CLOCK_SET = (
        "clock.set",
        Severity.ERROR,
        "The machine's clock was set while the engine ran; prices and deadlines of that moment are in doubt.",
        False,
    )
    STORE_FULL = (
        "store.full",
        Severity.CRITICAL,
        "The disk of the store was full and its reserve is in use: only exits are taken. Free space.",
    )
    STORE_PINNED = (
        "store.pinned",
        Severity.ERROR,
        "A program keeps a read transaction of the store open, so that the store grows with each write.",
    )
    STORE_EMERGENCY = (
        "store.emergency",
        Severity.ERROR,
        "The store had refused a halt or cancel, which was recorded in the emergency journal and merged.",
        False,
    )
    ENCRYPTION_KEY_DUE = (
        "encryption.key_due",
        Severity.WARNING,
        "The key that encrypts secrets in the store is older than key_rotation_days: rotate it.",
    )
    ENGINE_AWAY = (
        "engine.away",
        Severity.ERROR,
        "The engine was down while the market traded, with open positions or working orders.",
        False,
    )
    ENGINE_OTHER_MACHINE = (
        "engine.other_machine",
        Severity.CRITICAL,
        "The store belongs to another machine: trading is halted, and nothing is sent until it is adopted.",
    )
    ACCOUNT_NOT_CONFIGURED = (
        "account.not_configured",
        Severity.CRITICAL,
        "An account with open positions or working orders is not in the settings: nothing manages them.",
    )
