"""Schema version 0025: values that earlier releases do not know, beside those that they read instead."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_IS_DUST = sa.text("state_exact = 'dust'")


def upgrade() -> None:
    op.add_column("orders", sa.Column("validity_exact", sa.String(length=8)))
    op.add_column("close_lines", sa.Column("state_exact", sa.String(length=16)))
    op.execute("UPDATE orders SET validity_exact = 'gtc', validity = 'day' WHERE validity = 'gtc'")
    op.execute("UPDATE close_lines SET state_exact = 'dust', state = 'reduced' WHERE state = 'dust'")
    op.drop_index("ix_close_lines_dust", "close_lines")
    op.create_index(
        "ix_close_lines_dust",
        "close_lines",
        ["account", "strategy", "symbol", "product"],
        sqlite_where=_IS_DUST,
        postgresql_where=_IS_DUST,
    )
