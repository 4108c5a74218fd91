"""Schema version 0009: what admins have set in the trading calendar."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calendar_entries",
        sa.Column("entry", sa.String(length=16), nullable=False),
        sa.Column("value", types.Json(), nullable=False),
        sa.Column("changed_at", types.UtcTime(), nullable=False),
        sa.Column("changed_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_calendar_entries")),
    )
