"""Verification that the event log and everything derived from it agree."""
