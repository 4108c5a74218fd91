"""Algosat: a self-hosted trading server."""
