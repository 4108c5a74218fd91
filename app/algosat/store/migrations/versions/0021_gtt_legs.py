"""Second legs of GTT orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("gtt_orders", sa.Column("second_trigger_price", types.Scaled()))
    op.add_column("gtt_orders", sa.Column("second_limit_price", types.Scaled()))
