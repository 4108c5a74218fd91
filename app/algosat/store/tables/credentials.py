"""Tables of the brokers' credentials and of the keys that encrypt them."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from algosat.store.tables.base import metadata
from algosat.store.types import Encrypted, UtcTime

# One row for each field of a login at a broker, which several accounts never share.
credentials = Table(
    "credentials",
    metadata,
    Column("broker", String(32), primary_key=True),
    Column("name", String(64), primary_key=True),  # of the login, as in the settings of the account
    Column("field", String(64), primary_key=True),  # in the broker's own words
    Column("value", Encrypted, nullable=False),
    Column("set_at", UtcTime, nullable=False),
    Column("set_by", String(128), nullable=False),
    Column("expires_at", UtcTime, index=True),  # of a token, which is deleted then; NULL: never
)

# The keys that encrypt or have encrypted, by fingerprint. The keys themselves are in the vault only.
encryption_keys = Table(
    "encryption_keys",
    metadata,
    Column("fingerprint", String(16), primary_key=True),
    Column("first_used_at", UtcTime, nullable=False),
)
