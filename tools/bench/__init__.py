"""`make bench`: the cost of Algosat's parts, each measured beside a bare one in the same run."""
