"""Real processes, real kills: the API and the engines die by SIGKILL at every step while orders flow.

`python -m tests.chaos --orders 2000 --kills 200 --seed 1` is the whole of it, `test_chaos.py` a
short one. The paper exchange's own book is the witness of what was sent.
"""
