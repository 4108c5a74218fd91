"""The supervisor: one process that starts, watches and stops the processes of all strategies."""
