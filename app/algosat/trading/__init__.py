"""Use cases of trading: place, modify, cancel, close, halt, and apply a broker's report.

Each use case is one unit of work on the store. `place` and `modify` run the gate (`algosat.domain.risk`).
Nothing here calls a broker: only the engine does.
"""
