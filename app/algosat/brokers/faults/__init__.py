"""Fault injection for any broker, for tests and drills."""
