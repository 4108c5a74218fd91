"""Live strategies: their definitions, their processes and the supervisor."""
