"""Conversions as they are stored: what is to be converted, and the progress.

The quantity of a conversion under way belongs to no exit: it may be held under the other product already.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, text, update

from algosat.domain.conversion import SENT, Conversion, ConversionState, Excess
from algosat.domain.decimals import ZERO, to_text
from algosat.domain.orders import Product
from algosat.domain.positions import Position
from algosat.errors import NotFound
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.queries import Page
from algosat.store.tables import IS_UNFINISHED, conversions
from algosat.trading.close_records import LineKey

_BY_ID = Prepared(select(conversions).where(conversions.c.id == bindparam("conversion_id")))
_IS_UNDER_WAY = (conversions.c.account == bindparam("account"), text(IS_UNFINISHED))
_UNDER_WAY = Prepared(select(conversions).where(*_IS_UNDER_WAY).order_by(conversions.c.seq))
_OF_SYMBOL = Prepared(select(conversions).where(*_IS_UNDER_WAY, conversions.c.symbol == bindparam("symbol")))
_EXCESS: Final = ("source_excess", "target_excess")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionRecord:
    """A conversion of a part of one position, and its progress."""

    id: str
    account: str
    strategy: str  # '' for orders placed by hand
    symbol: str
    source: Product
    target: Product
    quantity: Decimal  # negative: of a short position
    actor: str
    correlation_id: str
    created_at: datetime
    updated_at: datetime
    state: ConversionState = ConversionState.CREATED
    code: str | None = None
    detail: str = ""
    excess: Excess | None = None  # of the broker's positions when it was sent; None: it was not sent
    source_order_id: str | None = None  # of the entries in the ledger
    target_order_id: str | None = None
    sent_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def source_key(self) -> LineKey:
        """The line that the quantity leaves."""
        return self.strategy, self.symbol, self.source.value

    @property
    def target_key(self) -> LineKey:
        return self.strategy, self.symbol, self.target.value

    @property
    def is_sent(self) -> bool:
        """Whether the broker may have converted the quantity, and that is not known."""
        return self.state in SENT

    @property
    def conversion(self) -> Conversion:
        return Conversion(self.symbol, self.strategy, self.source, self.target, abs(self.quantity))

    @property
    def cause(self) -> Cause:
        """The request."""
        return Cause(self.actor, self.correlation_id)


_COLUMNS: Final = tuple(column.name for column in conversions.c if column is not conversions.c.seq)
_ADD = Prepared(insert(conversions).inline(), _COLUMNS)
_STATE: Final = (
    *("state", "code", "detail", *_EXCESS, "source_order_id", "target_order_id"),
    *("updated_at", "sent_at", "finished_at"),
)
_PUT = Prepared(update(conversions).where(conversions.c.id == bindparam("conversion_id")), _STATE)


def add(connection: Connection, new: ConversionRecord) -> ConversionRecord:
    """Store a new conversion."""
    _ADD.run(connection, _values(new))
    data = {
        "account": new.account,
        "strategy": new.strategy,
        "symbol": new.symbol,
        "source": new.source.value,
        "target": new.target.value,
        "quantity": to_text(new.quantity),
    }
    audit.append(connection, new.created_at, "conversion.requested", new.id, new.cause, data)
    return new


def put(connection: Connection, changed: ConversionRecord, at: datetime, cause: Cause) -> ConversionRecord:
    """Store the present state of a conversion, with an event of it in the audit trail."""
    is_under_way = changed.state is ConversionState.CREATED or changed.is_sent
    changed = replace(changed, updated_at=at, finished_at=None if is_under_way else at)
    values = _values(changed)
    _PUT.run(connection, {"conversion_id": changed.id, **{name: values[name] for name in _STATE}})
    data = {
        name: values[name]
        for name in ("code", "detail", "source_order_id", "target_order_id")
        if values[name]
    }
    audit.append(connection, at, f"conversion.{changed.state}", changed.id, cause, data)
    return changed


def get(connection: Connection, conversion_id: str) -> ConversionRecord:
    """Return a conversion by id. Raises NotFound."""
    row = _BY_ID.first(connection, conversion_id=conversion_id)
    if row is None:
        raise NotFound(f"there is no conversion {conversion_id}")
    return _from(row)


def under_way(connection: Connection, account: str) -> list[ConversionRecord]:
    """Return the conversions of an account that are under way, oldest first."""
    return [_from(row) for row in _UNDER_WAY.all(connection, account=account)]


def of_symbol(connection: Connection, account: str, symbol: str) -> ConversionRecord | None:
    """Return the conversion of an instrument that is under way, or None."""
    row = _OF_SYMBOL.first(connection, account=account, symbol=symbol)
    return None if row is None else _from(row)


def of_line(connection: Connection, account: str, key: LineKey) -> ConversionRecord | None:
    """Return the conversion under way that takes from a line or adds to it, or None."""
    found = of_symbol(connection, account, key[1])
    return found if found is not None and key in (found.source_key, found.target_key) else None


def left_to_exit(connection: Connection, account: str, held: Iterable[Position]) -> list[Position]:
    """Return the positions without the quantities that conversions under way take from them."""
    taken = {each.source_key: each.quantity for each in under_way(connection, account)}
    return [
        replace(each, quantity=each.quantity - taken.get((each.strategy, each.symbol, each.product), ZERO))
        for each in held
    ]


def page(
    connection: Connection, account: str, *, limit: int, cursor: int | None, is_finished: bool | None
) -> tuple[list[ConversionRecord], int | None]:
    """Return conversions, newest first, and the cursor of the next page."""
    statement = select(conversions).where(conversions.c.account == account)
    if is_finished is not None:
        finished_at = conversions.c.finished_at
        statement = statement.where(finished_at.is_not(None) if is_finished else finished_at.is_(None))
    if cursor is not None:
        statement = statement.where(conversions.c.seq < cursor)
    rows = connection.execute(statement.order_by(conversions.c.seq.desc()).limit(limit + 1)).all()
    found = Page(rows, None) if len(rows) <= limit else Page(rows[:limit], rows[limit - 1].seq)
    return [_from(row) for row in found.rows], found.next_cursor


def _from(row: Any) -> ConversionRecord:
    values = {
        each.name: getattr(row, each.name) for each in fields(ConversionRecord) if each.name != "excess"
    }
    values |= {name: Product(values[name]) for name in ("source", "target")}
    excess = [getattr(row, name) for name in _EXCESS]
    return ConversionRecord(
        **{**values, "state": ConversionState(row.state)},
        excess=None if None in excess else Excess(*excess),
    )


def _values(of: ConversionRecord) -> dict[str, Any]:
    excess = (None, None) if of.excess is None else (of.excess.source, of.excess.target)
    values = {each.name: getattr(of, each.name) for each in fields(of) if each.name != "excess"}
    plain = {name: each.value if isinstance(each, StrEnum) else each for name, each in values.items()}
    return {**plain, **dict(zip(_EXCESS, excess, strict=True))}
