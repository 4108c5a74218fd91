"""Alerts about exits: those that could not be sent, and those sent although no price was fresh."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.closing import line_name
from algosat.domain.instruments import Quote
from algosat.domain.orders import LIVE, EventKind, Order, OrderEvent, OrderTerms, OrderType
from algosat.domain.risk import Denial, DenialCode, RiskSnapshot
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.trading import alerts, limits
from algosat.trading.desk import Desk

_OF_EXITS: Final = (AlertKind.EXIT_KEPT_BACK, AlertKind.EXIT_OLD_PRICE)
_TERMINAL: Final = "close the position in the broker's own terminal"


def after_gate(
    connection: Connection,
    desk: Desk,
    terms: OrderTerms,
    denial: Denial | None,
    snapshot: RiskSnapshot,
    cause: Cause,
) -> None:
    """Alert about an exit that the gate denied because there is no price, or passed with an old price."""
    if not terms.reduce_only or not snapshot.position.left_to_reduce(terms.side):
        return
    exit_of = f"an exit of {terms.quantity}"
    if denial is not None and denial.code is DenialCode.NO_QUOTE:
        kind, detail = AlertKind.EXIT_KEPT_BACK, f"{exit_of} was denied: {denial.detail}, or {_TERMINAL}"
    elif denial is None and is_sent_unpriced(terms, snapshot):
        kind = AlertKind.EXIT_OLD_PRICE
        detail = f"{exit_of} is sent with the limit {terms.protection_price}: {_price(snapshot.quote)}"
    else:
        return
    alerts.open_alert(connection, desk, kind, _subject(terms), cause, detail)


def after_events(
    connection: Connection, desk: Desk, order: Order, events: Iterable[OrderEvent], cause: Cause
) -> None:
    """Alert about an exit that was rejected, by the engine or by the broker."""
    if not order.terms.reduce_only or order.external:
        return
    for event in events:
        if event.kind is EventKind.REJECTED:
            why = event.reason or event.code
            detail = (
                f"exit {order.id} of {order.terms.quantity} was rejected: {why}. Exit again, or {_TERMINAL}"
            )
            kind = AlertKind.EXIT_KEPT_BACK
            alerts.open_alert(connection, desk, kind, _subject(order.terms), cause, detail)


def close_settled(desk: Desk, cause: Cause) -> None:
    """Close the alerts of this module whose condition has ended."""
    with desk.database.read() as connection:
        over = _over(connection, desk)
    if over:
        desk.writer.run(
            lambda connection: [
                alerts.close_alert(connection, desk, kind, subject, cause)
                for kind, subject in _over(connection, desk)
            ]
        )


def _over(connection: Connection, desk: Desk) -> list[tuple[AlertKind, str]]:
    """Return kind and subject of the alerts to close.

    Both kinds close when the position is flat. Besides, the alert about a blocked exit closes when another
    exit is working at the broker, and the alert about an old price closes when there is a fresh price.
    """
    found = {kind: alerts.open_subjects(connection, desk, kind) for kind in _OF_EXITS}
    if not any(found.values()):
        return []
    held = {
        line_name(each.strategy, each.symbol, each.product): each.symbol
        for each in queries.open_positions(connection, desk.account)
    }
    leaving = {
        _subject(order.terms)
        for order in queries.working_reduce_only(connection, desk.account)
        if order.status in LIVE and not order.terms.type.has_trigger
    }
    quotes = {symbol: queries.quote(connection, desk.venue, symbol) for symbol in held.values()}
    priced = {subject for subject, symbol in held.items() if _is_fresh(connection, desk, quotes[symbol])}
    settled = {AlertKind.EXIT_KEPT_BACK: leaving, AlertKind.EXIT_OLD_PRICE: priced}
    return [
        (kind, subject)
        for kind, subjects in found.items()
        for subject in sorted(subjects)
        if subject not in held or subject in settled[kind]
    ]


def _is_fresh(connection: Connection, desk: Desk, quote: Quote | None) -> bool:
    allowed = (limits.effective(connection, desk) or desk.defaults).stale_quote_seconds
    return quote is not None and abs((desk.clock() - quote.at).total_seconds()) <= allowed


def is_sent_unpriced(terms: OrderTerms, snapshot: RiskSnapshot) -> bool:
    """Return whether the order is a market exit that is sent now, with a limit made from an old price."""
    is_market_exit = terms.reduce_only and terms.type is OrderType.MARKET
    return is_market_exit and not terms.is_after_market and snapshot.fresh_quote is None


def _subject(terms: OrderTerms) -> str:
    return line_name(terms.strategy or "", terms.symbol, terms.product)


def _price(quote: Quote | None) -> str:
    """Describe the price from which the exit's limit was computed."""
    return f"the last price is from {quote.at:%Y-%m-%d %H:%M:%S} UTC" if quote else "there is no price"
