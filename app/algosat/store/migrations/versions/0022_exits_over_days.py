"""Linked exits over several days."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("linked_exits", sa.Column("expires_at", types.UtcTime()))
