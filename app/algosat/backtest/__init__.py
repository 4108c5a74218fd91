"""The back-test: the same strategy class, the same gate, and the paper market, on recorded prices.

Everything is in memory and in one thread; the same data, parameters and seed give the same report, byte for
byte. What it assumes stands in the report itself (`assumptions`).
"""
