"""`make bench`: what Algosat's parts cost, each measured beside a bare one in the same run."""
