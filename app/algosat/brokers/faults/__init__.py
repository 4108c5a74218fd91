"""Faults that can be wrapped around any broker, for tests and drills."""
