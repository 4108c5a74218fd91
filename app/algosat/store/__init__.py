"""The store: what must survive. SQLite by default, PostgreSQL by URL."""
