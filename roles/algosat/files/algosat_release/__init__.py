"""Releases on the server: install one beside the running one, switch to it, go back when it is not healthy.

Runs as root under the system's own Python, so that it depends on no release.
"""
