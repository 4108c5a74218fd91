"""Denials: why the gate rejects an order."""

from __future__ import annotations

from dataclasses import dataclass

from algosat.domain.reason_codes import Code


class DenialCode(Code):
    """Every reason for a denial, with the help text that the API's documentation shows."""

    # What cannot be checked is denied.
    UNKNOWN_SYMBOL = "unknown_symbol", "No instrument of this name is known."
    NO_QUOTE = "no_quote", "There is no price to check the order against, or to value open positions with."
    CALENDAR_UNKNOWN = "calendar_unknown", "The trading calendar does not cover this moment. Extend it."

    ACCOUNT_NOT_ARMED = (
        "account_not_armed",
        "The account is live and not armed: an admin arms it. Exits pass once it was armed.",
    )
    HALTED = "halted", "Trading is halted; only exits pass. Resume trading first."
    INVALID_TERMS = "invalid_terms", "The prices given do not fit the type of the order."
    SYMBOL_NOT_ALLOWED = "symbol_not_allowed", "The symbol is not in the limit `allowed_symbols`."
    CONTRACT_EXPIRED = "contract_expired", "The contract has expired."
    NEAR_DELIVERY = (
        "near_delivery",
        "The contract is about to deliver shares; only exits pass. Use a later expiry.",
    )
    NOT_SUPPORTED = (
        "not_supported_by_broker",
        "The broker takes no orders of this type, validity or product, or no more modifications of this one.",
    )
    PRODUCT_NOT_ALLOWED = "product_not_allowed", "The instrument cannot be traded under this product."
    MARKET_CLOSED = (
        "market_closed",
        "The market phase takes no orders of this kind; after-market orders wait for the open.",
    )
    MARKET_OPEN = (
        "market_open",
        "The market is open: leave out `session`. After-market orders are taken after continuous trading.",
    )
    AFTER_SQUARE_OFF = "after_square_off", "Intraday positions are being closed; no new ones may be opened."

    HELD_BACK = (
        "held_back",
        "The broker has not told what became of another order for this symbol. Repeat once it is known.",
    )
    BEING_CLOSED = "being_closed", "The position is being closed. Wait for the close, or withdraw it."

    EXTERNAL_ENTRY = "external_entry", "Under the strategy `external`, only exits pass."

    OFF_TICK = "off_tick", "A price is not a multiple of the instrument's tick."
    OFF_LOT = "off_lot", "The quantity is not a multiple of the instrument's lot."
    BELOW_MINIMUM = (
        "below_minimum",
        "The exchange takes no order so small. What is left of a position goes only together with more.",
    )
    ABOVE_FREEZE_QUANTITY = (
        "above_freeze_quantity",
        "The exchange takes no single order of this quantity. Use `POST /orders/sliced`.",
    )
    STALE_QUOTE = "stale_quote", "The last price is too old to check the order against. Wait for a new one."
    OUTSIDE_CIRCUIT = "outside_circuit", "A price is outside the day's circuit limits."
    OUTSIDE_PRICE_BAND = "outside_price_band", "A price is too far from the last price."
    TRIGGER_ALREADY_PASSED = (
        "trigger_already_passed",
        "The market is beyond the trigger price already. Use a market or limit order.",
    )

    NOT_REDUCING = "not_reducing", "A reduce-only order must be opposite to a position of its own book."
    MORE_THAN_HELD = "more_than_held", "The quantity exceeds what is left of the position."
    NO_HOLDINGS = (
        "no_holdings",
        "Sells need holdings that no other order sells; use strategy `external` for shares bought elsewhere.",
    )

    ORDER_QUANTITY = "order_quantity", "The quantity exceeds the limit for one order in shares."
    ORDER_VALUE = "order_value", "The value exceeds the limit for one order in shares."
    POSITION_VALUE = "position_value", "The value of the position in this share could exceed its limit."
    GROSS_EXPOSURE = "gross_exposure", "The value of all positions in shares could exceed its limit."
    ORDER_LOTS = "order_lots", "The number of lots exceeds the limit for one order in a future or option."
    POSITION_MARGIN = "position_margin", "The margin of the position in this contract could exceed its limit."
    GROSS_MARGIN = "gross_margin", "The margin of all futures and options could exceed its limit."
    OPEN_ORDERS = "open_orders", "Too many orders are working."
    ORDERS_PER_SECOND = "orders_per_second", "Too many orders within a second."
    ORDERS_PER_DAY = "orders_per_day", "Too many orders on this trading day."
    INSUFFICIENT_FUNDS = "insufficient_funds", "The margin needed exceeds the funds available."
    DAILY_LOSS = "daily_loss", "The day's loss has reached its limit; only exits pass."
    BASKET_DENIED = "basket_denied", "Another leg of an all-or-none basket was denied."
    DUPLICATE = "duplicate_suspected", "An equal order was placed a moment ago."


@dataclass(frozen=True, slots=True)
class Denial:
    code: DenialCode
    detail: str  # one sentence with figures
