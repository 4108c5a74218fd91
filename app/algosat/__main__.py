"""`python -m algosat` is `algosat`."""

from algosat.cli import main

main()
