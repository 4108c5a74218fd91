"""Tables of the ledger: orders, events, trades, positions, balances, and daily totals."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Boolean, Column, Date, Index, Integer, String, Table, Text, UniqueConstraint, text

from algosat.domain.contract_note import LINE
from algosat.domain.orders import WORKING, Status, TradingSession
from algosat.store.tables.base import Sequence, metadata
from algosat.store.types import Json, LowPart, Scaled, UtcTime

# The same SQL must be in a partial index and in the queries that use it.
WORKING_STATUS = f"status IN ({', '.join(sorted(repr(status.value) for status in WORKING))})"
CREATED_STATUS = f"status = '{Status.CREATED.value}'"
LATER_SLICE = "slice_of IS NOT NULL"
NOT_DENIED = f"status != '{Status.DENIED.value}'"


def _low(name: str) -> Column[Decimal]:
    """Return the column of the low parts of a value. The default is for releases that do not know it."""
    return Column(f"{name}_low", LowPart, nullable=False, server_default="0")


orders = Table(
    "orders",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("id", String(18), nullable=False, unique=True),
    Column("account", String(64), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", Scaled, nullable=False),
    Column("type", String(16), nullable=False),
    Column("limit_price", Scaled),
    Column("trigger_price", Scaled),
    Column("protection_price", Scaled),
    Column("product", String(16), nullable=False),
    Column("validity", String(8), nullable=False),
    Column("reduce_only", Boolean, nullable=False),
    Column("strategy", String(64), nullable=False),  # '' for orders placed by hand
    Column("algo_id", String(64)),
    Column("status", String(20), nullable=False),
    Column("overlay", String(20)),
    Column("filled_quantity", Scaled, nullable=False),
    Column("filled_value", Scaled, nullable=False),
    Column("broker_order_id", String(64)),
    Column("code", String(64)),
    Column("reason", Text),
    Column("pending_change", Json),
    Column("external", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("correlation_id", String(64), nullable=False),
    # The default is for releases that do not know the column.
    Column("session", String(16), nullable=False, server_default=TradingSession.REGULAR.value),
    Column("send_at", UtcTime),  # of an after-market order; null: at once
    Column("slice_of", String(18)),  # the first slice of the same order; null for that slice, and unsliced
    _low("filled_value"),
    Column("validity_exact", String(8)),  # null: `validity` says all, see `store.fallbacks`
)
# The gate sums up the working orders for every new order. With this index it reads no final orders, sorts
# nothing and fetches no rows. The migration makes these indexes partial on PostgreSQL, too; saying so here
# would load that dialect into every process.
_SUMMED = (
    "account", "strategy", "symbol", "product", "side", "quantity", "filled_quantity",
    "limit_price", "protection_price", "trigger_price", "pending_change", "status", "id",
)  # fmt: skip
Index("ix_orders_working", *(orders.c[name] for name in _SUMMED), sqlite_where=text(WORKING_STATUS))
Index("ix_orders_status_seq", orders.c.status, orders.c.seq)
Index("ix_orders_symbol_seq", orders.c.symbol, orders.c.seq)
Index("ix_orders_strategy_seq", orders.c.strategy, orders.c.seq)
# Pending requests: the engine looks for them at every wake-up, and there is hardly ever one.
Index("ix_orders_overlay", orders.c.account, orders.c.seq, sqlite_where=text("overlay IS NOT NULL"))
# Created orders: those to send now, then those that wait for their market to open.
Index(
    "ix_orders_created",
    *(orders.c[name] for name in ("account", "send_at", "seq")),
    sqlite_where=text(CREATED_STATUS),
)
# From this index the gate counts the orders of the last second and finds duplicates of a new one.
_COUNTED = ("account", "created_at", "strategy", "status", "symbol", "quantity")
Index("ix_orders_lately", *(orders.c[name] for name in _COUNTED), sqlite_where=text(NOT_DENIED))
# The gate counts the slices of an order as one: it subtracts the later slices of the last second.
Index(
    "ix_orders_slices",
    *(orders.c[name] for name in ("account", "created_at", "strategy")),
    sqlite_where=text(LATER_SLICE),
)
# Finds external orders, and orders whose tag the broker has changed, by the broker's number.
Index("ix_orders_broker_order_id", orders.c.account, orders.c.broker_order_id)

events = Table(
    "events",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("subject", String(128), nullable=False),  # an order id, a user name, a key of the settings
    Column("actor", String(128), nullable=False),
    Column("correlation_id", String(64), nullable=False),
    Column("data", Json, nullable=False),
    Column("hash", String(64), nullable=False),  # of this event together with the hash of the one before
)
Index("ix_events_subject_seq", events.c.subject, events.c.seq)

trades = Table(
    "trades",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("account", String(64), nullable=False),
    Column("trade_id", String(64), nullable=False),
    Column("order_id", String(18), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("strategy", String(64), nullable=False),
    Column("product", String(16), nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", Scaled, nullable=False),
    Column("price", Scaled, nullable=False),
    Column("realised", Scaled, nullable=False),
    Column("fees", Scaled, nullable=False),  # negative if the fill made the day's contract note cheaper
    Column("at", UtcTime, nullable=False),
    Column("note", String(32)),  # the contract note that includes the fill; None: charged by itself
    # Of trades that state their fee. A fee in what was bought changes the position by another quantity.
    Column("position_quantity", Scaled),  # None: the quantity
    Column("other_fee", Scaled),  # in a currency that is neither the account's nor bought; not in `fees`
    Column("other_currency", String(10)),
    _low("realised"),
    _low("fees"),
    UniqueConstraint("account", "trade_id"),
)
Index("ix_trades_order_id", trades.c.order_id)
Index("ix_trades_symbol_seq", trades.c.symbol, trades.c.seq)

positions = Table(
    "positions",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("strategy", String(64), primary_key=True),
    Column("symbol", String(64), primary_key=True),
    Column("product", String(16), primary_key=True),
    Column("quantity", Scaled, nullable=False),
    Column("cost", Scaled, nullable=False),  # signed value for which the open quantity was bought or sold
    Column("realised", Scaled, nullable=False),
    Column("fees", Scaled, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    _low("cost"),
    _low("realised"),
    _low("fees"),
)

balances = Table(
    "balances",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("deposited", Scaled, nullable=False),
    Column("realised", Scaled, nullable=False),
    Column("fees", Scaled, nullable=False),
    _low("realised"),
    _low("fees"),
)

# Fees in other currencies than the account's: never added to its amounts.
other_fees = Table(
    "other_fees",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("currency", String(10), primary_key=True),
    Column("amount", Scaled, nullable=False),
)

# Totals of a trading day by strategy: daily loss and order counts are read from here, not summed up.
days = Table(
    "days",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("strategy", String(64), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("orders", Integer, nullable=False),
    Column("trades", Integer, nullable=False),
    Column("realised", Scaled, nullable=False),
    Column("fees", Scaled, nullable=False),
    _low("realised"),
    _low("fees"),
)

# The turnover on the contract notes of each day, by symbol. Each fill books the difference that it makes to
# the charges on its note. Fills booked by a release without this table are on no note: they keep their fees.
contract_notes = Table(
    "contract_notes",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("day", Date, primary_key=True),  # the exchange's date of the fills
    Column("note", String(32), primary_key=True),  # exchange and kind of instrument, such as nse/equity
    Column("symbol", String(64), primary_key=True),
    *(Column(name, Scaled, nullable=False) for name in LINE),
)

# Daily P&L baselines: the value from which the day's profit or loss is counted, with open positions at their
# last price before the day. Written with the first order of the day, or by the first loss check.
openings = Table(
    "openings",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("strategy", String(64), primary_key=True),  # '*' for the whole account
    Column("day", Date, primary_key=True),
    Column("worth", Scaled, nullable=False),
)
