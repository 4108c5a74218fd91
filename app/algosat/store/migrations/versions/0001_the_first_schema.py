"""Schema version 0001: all tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from algosat.store import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "balances",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("deposited", types.Scaled(), nullable=False),
        sa.Column("realised", types.Scaled(), nullable=False),
        sa.Column("fees", types.Scaled(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_balances")),
    )
    op.create_table(
        "days",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("trades", sa.Integer(), nullable=False),
        sa.Column("realised", types.Scaled(), nullable=False),
        sa.Column("fees", types.Scaled(), nullable=False),
        sa.PrimaryKeyConstraint("account", "strategy", "day", name=op.f("pk_days")),
    )
    op.create_table(
        "errors",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("category", sa.String(length=16), nullable=False),
        sa.Column("place", sa.String(length=128), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", types.UtcTime(), nullable=False),
        sa.Column("last_at", types.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_errors")),
    )
    with op.batch_alter_table("errors", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_errors_last_at"), ["last_at"], unique=False)

    op.create_table(
        "events",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("data", types.Json(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("ix_events_subject_seq", ["subject", "seq"], unique=False)

    op.create_table(
        "halts",
        sa.Column("scope", sa.String(length=64), nullable=False),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("flatten", sa.Boolean(), nullable=False),
        sa.Column("cancels_up_to", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_halts")),
    )
    op.create_table(
        "heartbeats",
        sa.Column("process", sa.String(length=64), nullable=False),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.Column("data", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_heartbeats")),
    )
    op.create_table(
        "instruments",
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("segment", sa.String(length=32), nullable=False),
        sa.Column("tick", types.Scaled(), nullable=False),
        sa.Column("lot", types.Scaled(), nullable=False),
        sa.Column("freeze_quantity", types.Scaled(), nullable=False),
        sa.Column("has_derivatives", sa.Boolean(), nullable=False),
        sa.Column("expiry", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("symbol", name=op.f("pk_instruments")),
    )
    op.create_table(
        "limits",
        sa.Column("scope", sa.String(length=64), nullable=False),
        sa.Column("values", types.Json(), nullable=False),
        sa.Column("changed_at", types.UtcTime(), nullable=False),
        sa.Column("changed_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_limits")),
    )
    op.create_table(
        "login_failures",
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", types.UtcTime(), nullable=False),
        sa.Column("locked_until", types.UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_login_failures")),
    )
    op.create_table(
        "openings",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("worth", types.Scaled(), nullable=False),
        sa.PrimaryKeyConstraint("account", "strategy", "day", name=op.f("pk_openings")),
    )
    op.create_table(
        "orders",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("id", sa.String(length=18), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("quantity", types.Scaled(), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("limit_price", types.Scaled(), nullable=True),
        sa.Column("trigger_price", types.Scaled(), nullable=True),
        sa.Column("protection_price", types.Scaled(), nullable=True),
        sa.Column("product", sa.String(length=16), nullable=False),
        sa.Column("validity", sa.String(length=8), nullable=False),
        sa.Column("reduce_only", sa.Boolean(), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("algo_id", sa.String(length=64), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("overlay", sa.String(length=20), nullable=True),
        sa.Column("filled_quantity", types.Scaled(), nullable=False),
        sa.Column("filled_value", types.Scaled(), nullable=False),
        sa.Column("broker_order_id", sa.String(length=64), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("pending_change", types.Json(), nullable=True),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.Column("updated_at", types.UtcTime(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_orders")),
        sa.UniqueConstraint("id", name=op.f("uq_orders_id")),
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index("ix_orders_broker_order_id", ["account", "broker_order_id"], unique=False)
        batch_op.create_index(
            "ix_orders_lately",
            ["account", "created_at", "strategy", "status", "symbol", "quantity"],
            unique=False,
            sqlite_where=sa.text("status != 'denied'"),
            postgresql_where=sa.text("status != 'denied'"),
        )
        batch_op.create_index(
            "ix_orders_overlay",
            ["account", "seq"],
            unique=False,
            sqlite_where=sa.text("overlay IS NOT NULL"),
            postgresql_where=sa.text("overlay IS NOT NULL"),
        )
        batch_op.create_index("ix_orders_status_seq", ["status", "seq"], unique=False)
        batch_op.create_index("ix_orders_strategy_seq", ["strategy", "seq"], unique=False)
        batch_op.create_index("ix_orders_symbol_seq", ["symbol", "seq"], unique=False)
        batch_op.create_index(
            "ix_orders_working",
            [
                "account",
                "strategy",
                "symbol",
                "product",
                "side",
                "quantity",
                "filled_quantity",
                "limit_price",
                "protection_price",
                "trigger_price",
                "pending_change",
                "status",
                "id",
            ],
            unique=False,
            sqlite_where=sa.text(
                "status IN ('created', 'not_found', 'open', 'partially_filled', 'submitting', 'trigger_pending', 'unknown')"
            ),
            postgresql_where=sa.text(
                "status IN ('created', 'not_found', 'open', 'partially_filled', 'submitting', 'trigger_pending', 'unknown')"
            ),
        )

    op.create_table(
        "overrides",
        sa.Column("section", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", types.Json(), nullable=False),
        sa.Column("changed_at", types.UtcTime(), nullable=False),
        sa.Column("changed_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("section", "key", name=op.f("pk_overrides")),
    )
    op.create_table(
        "paper_orders",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("quantity", types.Scaled(), nullable=False),
        sa.Column("filled_quantity", types.Scaled(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("placed_at", types.UtcTime(), nullable=False),
        sa.Column("updated_at", types.UtcTime(), nullable=False),
        sa.Column("data", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paper_orders")),
    )
    with op.batch_alter_table("paper_orders", schema=None) as batch_op:
        batch_op.create_index("ix_paper_orders_day", ["day"], unique=False)
        batch_op.create_index("ix_paper_orders_tag", ["tag"], unique=False)

    op.create_table(
        "paper_state",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.Column("data", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_paper_state")),
    )
    op.create_table(
        "paper_trades",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("quantity", types.Scaled(), nullable=False),
        sa.Column("price", types.Scaled(), nullable=False),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paper_trades")),
    )
    with op.batch_alter_table("paper_trades", schema=None) as batch_op:
        batch_op.create_index("ix_paper_trades_order_id", ["order_id"], unique=False)

    op.create_table(
        "positions",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=16), nullable=False),
        sa.Column("quantity", types.Scaled(), nullable=False),
        sa.Column("cost", types.Scaled(), nullable=False),
        sa.Column("realised", types.Scaled(), nullable=False),
        sa.Column("fees", types.Scaled(), nullable=False),
        sa.Column("updated_at", types.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("account", "strategy", "symbol", "product", name=op.f("pk_positions")),
    )
    op.create_table(
        "quotes",
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.Column("last", types.Scaled(), nullable=False),
        sa.Column("bid", types.Scaled(), nullable=False),
        sa.Column("ask", types.Scaled(), nullable=False),
        sa.Column("bid_quantity", types.Scaled(), nullable=False),
        sa.Column("ask_quantity", types.Scaled(), nullable=False),
        sa.Column("volume", types.Scaled(), nullable=False),
        sa.Column("open", types.Scaled(), nullable=False),
        sa.Column("high", types.Scaled(), nullable=False),
        sa.Column("low", types.Scaled(), nullable=False),
        sa.Column("lower_circuit", types.Scaled(), nullable=False),
        sa.Column("upper_circuit", types.Scaled(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", name=op.f("pk_quotes")),
    )
    op.create_table(
        "replies",
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("order_ids", types.Json(), nullable=False),
        sa.Column("versions", types.Json(), nullable=True),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name=op.f("pk_replies")),
    )
    with op.batch_alter_table("replies", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_replies_created_at"), ["created_at"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("refresh_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.Column("last_seen_at", types.UtcTime(), nullable=False),
        sa.Column("expires_at", types.UtcTime(), nullable=False),
        sa.Column("revoked_at", types.UtcTime(), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sessions_user_id"), ["user_id"], unique=False)

    op.create_table(
        "strategies",
        sa.Column("name", sa.String(length=48), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("wanted", sa.String(length=16), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("changed_at", types.UtcTime(), nullable=False),
        sa.Column("changed_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_strategies")),
    )
    op.create_table(
        "strategy_states",
        sa.Column("name", sa.String(length=48), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", types.Json(), nullable=False),
        sa.Column("seen", types.Json(), nullable=False),
        sa.Column("pending", types.Json(), nullable=True),
        sa.Column("saved_at", types.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_strategy_states")),
    )
    op.create_table(
        "strategy_versions",
        sa.Column("name", sa.String(length=48), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("class_name", sa.String(length=64), nullable=False),
        sa.Column("parameters", types.Json(), nullable=False),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_strategy_versions")),
    )
    op.create_table(
        "trades",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("trade_id", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=18), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=16), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("quantity", types.Scaled(), nullable=False),
        sa.Column("price", types.Scaled(), nullable=False),
        sa.Column("realised", types.Scaled(), nullable=False),
        sa.Column("fees", types.Scaled(), nullable=False),
        sa.Column("at", types.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_trades")),
        sa.UniqueConstraint("account", "trade_id", name=op.f("uq_trades_account_trade_id")),
    )
    with op.batch_alter_table("trades", schema=None) as batch_op:
        batch_op.create_index("ix_trades_order_id", ["order_id"], unique=False)
        batch_op.create_index("ix_trades_symbol_seq", ["symbol", "seq"], unique=False)

    op.create_table(
        "users",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.UtcTime(), nullable=False),
        sa.Column("password_changed_at", types.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
