"""The back-test: a strategy on recorded prices, with the gate and the exchange of the paper market.

It runs in memory and in one thread. The same data, parameters and seed give the same report, byte for byte.
The report lists what the back-test assumes (`assumptions`).
"""
