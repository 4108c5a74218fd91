"""`python -m algosat.cli`: the same as the console script, wherever that lies."""

from __future__ import annotations

from algosat.cli import main

main()
