"""Strategies: the interface for authors, bars, parameters, events, and the classes of this release.

A strategy places its orders through the same functions as a user: the orders pass the same gate and carry the
strategy's name. Authors need `base`; `algosat.live` and `algosat.backtest` run the same classes.
"""
