"""The paper market: an exchange of our own with a synthetic price feed, durable and seeded.

`market` is the exchange as a pure function; `feed` and `replay` move its prices; `venue` keeps
its book in the store; `broker` makes it answer the engine's protocol; `faults` makes it misbehave.
"""
