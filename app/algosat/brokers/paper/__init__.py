"""The paper broker: the simulated exchange of `algosat.exchange`, kept in the store.

`venue` runs the market and stores its order book, `persistence` has the tables, `market_thread` moves
prices, `broker` implements the engine's Broker protocol, `build` makes one from the settings.
"""
