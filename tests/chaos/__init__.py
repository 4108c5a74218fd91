"""Chaos test: the API and the engines are killed by SIGKILL at every step while clients place orders.

`python -m tests.chaos --orders 2000 --kills 200 --seed 1` is the long run, `test_chaos.py` a short one. The
findings compare the store with the answers that clients received and with the paper exchange's own book. At
the end everything is closed while the faults go on, and has to end flat.

With `--accounts 2`, a second account trades in another currency and by another calendar, and only the first
account's broker has faults. Then orders of the second are timed with and without these faults.
"""
