"""The verbs of trading: what people, strategies and the clock may ask for, and what a broker's word leads to.

Each verb is one unit of work on the store. The gate (`algosat.domain.risk`) stands inside `place` and
`modify`; nothing here speaks to a broker, that is the engine's.
"""
