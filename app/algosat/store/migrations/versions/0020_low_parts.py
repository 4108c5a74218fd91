"""The decimal places 9 to 16 of values, in columns beside them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

VALUES = {
    "orders": ("filled_value",),
    "trades": ("realised", "fees"),
    "positions": ("cost", "realised", "fees"),
    "balances": ("realised", "fees"),
    "days": ("realised", "fees"),
}


def upgrade() -> None:
    for table, names in VALUES.items():
        for name in names:
            op.add_column(
                table, sa.Column(f"{name}_low", types.LowPart(), nullable=False, server_default="0")
            )
