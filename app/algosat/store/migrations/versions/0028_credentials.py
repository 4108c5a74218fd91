"""Credentials of the brokers, encrypted, and the age of the keys that encrypt."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credentials",
        sa.Column("broker", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("field", sa.String(length=64), nullable=False),
        sa.Column("value", types.Encrypted(), nullable=False),
        sa.Column("set_at", types.UtcTime(), nullable=False),
        sa.Column("set_by", sa.String(length=128), nullable=False),
        sa.Column("expires_at", types.UtcTime()),
        sa.PrimaryKeyConstraint("broker", "name", "field", name=op.f("pk_credentials")),
    )
    op.create_index(op.f("ix_credentials_expires_at"), "credentials", ["expires_at"])
    op.create_table(
        "encryption_keys",
        sa.Column("fingerprint", sa.String(length=16), nullable=False),
        sa.Column("first_used_at", types.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_encryption_keys")),
    )
