"""The machine: readings of its resources, and advice."""
