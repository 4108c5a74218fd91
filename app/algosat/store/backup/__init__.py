"""Snapshots of the store: a file copy of SQLite, a dump of PostgreSQL."""
