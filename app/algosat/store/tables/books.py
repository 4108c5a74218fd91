"""Tables of the comparisons of an account's books with the broker's statements."""

from __future__ import annotations

from sqlalchemy import Column, Date, Index, String, Table, Text, text

from algosat.store.tables.base import Sequence, metadata
from algosat.store.types import Scaled, UtcTime

# The same SQL must be in the partial index and in the queries that use it.
UNSETTLED_DIFFERENCE = "settled_at IS NULL"

# The last comparison of each account, and the last one that was asked for.
book_comparisons = Table(
    "book_comparisons",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("requested_at", UtcTime),
    Column("requested_by", String(128)),
    Column("compared_at", UtcTime),  # when both sides were last read; NULL: never
    Column("outcome", String(16)),
    Column("detail", Text),
    Column("evening", Date),  # the last trading day at whose end the books were compared
)

# Differences that are certain. A row is settled when the books agree again.
book_differences = Table(
    "book_differences",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("account", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("symbol", String(64), nullable=False),  # the currency of cash
    Column("product", String(16), nullable=False),  # '' for cash
    Column("order_id", String(64), nullable=False),  # '' unless an order's filled quantity differs
    Column("ours", Scaled, nullable=False),
    Column("theirs", Scaled, nullable=False),
    Column("average_price", Scaled),  # as the broker states it
    Column("since", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("settled_at", UtcTime),  # NULL: open
    Column("adjustment", String(18)),  # id of the last adjustment of the item while the row was open
)
Index(
    "ix_book_differences_open",
    *(book_differences.c[name] for name in ("account", "kind", "symbol", "product", "order_id")),
    unique=True,
    sqlite_where=text(UNSETTLED_DIFFERENCE),
    postgresql_where=text(UNSETTLED_DIFFERENCE),
)
Index("ix_book_differences_settled_at", book_differences.c.settled_at)
