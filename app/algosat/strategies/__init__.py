"""Strategies: what they are given, how they are run under supervision, and how they are tried on the past.

A strategy comes in by the same door as a person: its orders are placed by the trading verbs, pass the same
gate and carry its name. `base` is what an author needs; the same class runs live (`live`) and in a
back-test (`backtest`).
"""
