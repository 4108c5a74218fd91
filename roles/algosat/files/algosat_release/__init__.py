"""Releases on the server: install one beside the current one, switch to it, roll back if it is unhealthy.

Runs as root with the system's Python, so that it depends on no release.
"""
