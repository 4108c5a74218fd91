"""Schema version 0023: fees that trades state, in any currency."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trades", sa.Column("position_quantity", types.Scaled()))
    op.add_column("trades", sa.Column("other_fee", types.Scaled()))
    op.add_column("trades", sa.Column("other_currency", sa.String(length=10)))
    op.create_table(
        "other_fees",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=10), nullable=False),
        sa.Column("amount", types.Scaled(), nullable=False),
        sa.PrimaryKeyConstraint("account", "currency", name=op.f("pk_other_fees")),
    )
