"""Running strategies: their definitions, their processes and the supervisor of these."""
