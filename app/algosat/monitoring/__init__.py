"""Monitoring: metrics, health and logs."""
