"""Schema version 0019: smallest orders and currencies of instruments, and positions too small for an order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_IS_DUST = sa.text("state = 'dust'")


def upgrade() -> None:
    op.add_column("venue_instruments", sa.Column("minimum_quantity", types.Scaled()))
    op.add_column("venue_instruments", sa.Column("minimum_notional", types.Scaled()))
    op.add_column("venue_instruments", sa.Column("currency", sa.String(length=10)))
    op.add_column("venue_instruments", sa.Column("base_currency", sa.String(length=10)))
    op.create_index(
        "ix_close_lines_dust",
        "close_lines",
        ["account", "strategy", "symbol", "product"],
        sqlite_where=_IS_DUST,
        postgresql_where=_IS_DUST,
    )
