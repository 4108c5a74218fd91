"""Handling of failures: a circuit breaker, the log of errors and recoveries, and what it shows."""
