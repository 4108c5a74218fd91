"""Copies of the store: a snapshot of SQLite, a dump of PostgreSQL."""
