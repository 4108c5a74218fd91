"""The machine: readings of its resources, their history, trends and advice."""
