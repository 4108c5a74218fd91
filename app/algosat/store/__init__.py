"""The store: all durable data, in SQLite by default or in PostgreSQL."""
