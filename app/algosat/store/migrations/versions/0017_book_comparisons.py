"""Comparisons of the books with the broker's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "book_comparisons",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("requested_at", types.UtcTime()),
        sa.Column("requested_by", sa.String(length=128)),
        sa.Column("compared_at", types.UtcTime()),
        sa.Column("outcome", sa.String(length=16)),
        sa.Column("detail", sa.Text()),
        sa.Column("evening", sa.Date()),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_book_comparisons")),
    )
    op.create_table(
        "book_differences",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=16), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("ours", types.Scaled(), nullable=False),
        sa.Column("theirs", types.Scaled(), nullable=False),
        sa.Column("average_price", types.Scaled()),
        sa.Column("since", types.UtcTime(), nullable=False),
        sa.Column("updated_at", types.UtcTime(), nullable=False),
        sa.Column("settled_at", types.UtcTime()),
        sa.Column("adjustment", sa.String(length=18)),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_book_differences")),
    )
    op.create_index(
        "ix_book_differences_open",
        "book_differences",
        ["account", "kind", "symbol", "product", "order_id"],
        unique=True,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_index("ix_book_differences_settled_at", "book_differences", ["settled_at"])
