"""Former instruments: instruments of open positions that the broker no longer lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "former_instruments",
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("data", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", name=op.f("pk_former_instruments")),
    )
