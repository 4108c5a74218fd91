"""Underlying, strike, option type and settlement of contracts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instruments", sa.Column("underlying", sa.String(length=64), nullable=True))
    op.add_column("instruments", sa.Column("strike", types.Scaled(), nullable=True))
    op.add_column("instruments", sa.Column("option_type", sa.String(length=8), nullable=True))
    op.add_column("instruments", sa.Column("settlement", sa.String(length=16), nullable=True))
