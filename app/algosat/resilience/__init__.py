"""Handling of failures: a circuit breaker, and the log of unexpected errors."""
