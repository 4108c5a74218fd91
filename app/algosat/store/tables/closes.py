"""Tables of closes with the progress of each line, and of conversions of positions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, text

from algosat.domain.closing import LineState
from algosat.store.tables.base import Sequence, metadata
from algosat.store.types import Json, Scaled, UtcTime

# The same SQL must be in the partial indexes and the queries.
IS_UNFINISHED = "finished_at IS NULL"
IS_DUST = f"state_exact = '{LineState.DUST.value}'"

closes = Table(
    "closes",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("id", String(18), nullable=False, unique=True),
    Column("account", String(64), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("correlation_id", String(64), nullable=False),
    Column("reason", String(16), nullable=False),
    Column("strategy", String(64)),  # the selection: NULL selects all, '' positions of orders placed by hand
    Column("symbol", String(64)),
    Column("product", String(16)),
    Column("type", String(16), nullable=False),
    Column("limit_price", Scaled),
    Column("quantity", Scaled),  # as asked; NULL with a share, and for a whole position
    Column("share", Scaled),  # percent
    Column("trades_up_to", BigInteger, nullable=False),  # `seq` of the newest trade when it was asked
    Column("orders_up_to", BigInteger),  # `seq` of the newest order it cancels; NULL: later ones, too
    Column("created_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
)
Index("ix_closes_unfinished", closes.c.account, closes.c.seq, sqlite_where=text(IS_UNFINISHED))
Index("ix_closes_finished_at", closes.c.finished_at)

close_lines = Table(
    "close_lines",
    metadata,
    Column("close_id", String(18), primary_key=True),
    Column("strategy", String(64), primary_key=True),
    Column("symbol", String(64), primary_key=True),
    Column("product", String(16), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("held", Scaled, nullable=False),  # when the close was asked; negative: short
    Column("quantity", Scaled, nullable=False),  # to be closed
    Column("denies_entries", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("order_ids", Json, nullable=False),  # of the exits it placed
    Column("watched_ids", Json, nullable=False),  # those of them whose outcome has not been judged
    Column("refusals", Integer, nullable=False),  # one after another
    Column("retry_at", UtcTime),
    Column("updated_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime, index=True),
    Column("state_exact", String(16)),  # null: `state` says all, see `store.fallbacks`
)
_LINE = ("account", "strategy", "symbol", "product", "denies_entries")
Index("ix_close_lines_unfinished", *(close_lines.c[name] for name in _LINE), sqlite_where=text(IS_UNFINISHED))
Index("ix_close_lines_dust", *(close_lines.c[name] for name in _LINE[:-1]), sqlite_where=text(IS_DUST))

# Conversions of a position's product. At most one of an instrument is under way.
conversions = Table(
    "conversions",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("id", String(18), nullable=False, unique=True),
    Column("account", String(64), nullable=False),
    Column("strategy", String(64), nullable=False),  # '' for orders placed by hand
    Column("symbol", String(64), nullable=False),
    Column("source", String(16), nullable=False),  # product
    Column("target", String(16), nullable=False),
    Column("quantity", Scaled, nullable=False),  # negative: of a short position
    Column("state", String(16), nullable=False),
    Column("code", String(64)),
    Column("detail", Text, nullable=False),
    Column("source_excess", Scaled),  # when it was sent: the broker's quantity less ours; NULL: not sent
    Column("target_excess", Scaled),
    Column("source_order_id", String(18)),  # of the entries in the ledger; NULL: not converted
    Column("target_order_id", String(18)),
    Column("actor", String(128), nullable=False),
    Column("correlation_id", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    Column("finished_at", UtcTime, index=True),
)
Index(
    "ix_conversions_under_way",
    conversions.c.account,
    conversions.c.symbol,
    unique=True,
    sqlite_where=text(IS_UNFINISHED),
    postgresql_where=text(IS_UNFINISHED),
)
