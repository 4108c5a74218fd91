"""Alembic's environment: migrates the connection passed in by `algosat.store.migrate`."""

from alembic import context

from algosat.store.schema_version import HEAD_TABLE
from algosat.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=HEAD_TABLE,
    render_as_batch=True,
    user_module_prefix="types.",
)
with context.begin_transaction():
    context.run_migrations()
