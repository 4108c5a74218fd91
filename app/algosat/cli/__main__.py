"""`python -m algosat.cli`: the console script, without its path."""

from __future__ import annotations

from algosat.cli import main

main()
