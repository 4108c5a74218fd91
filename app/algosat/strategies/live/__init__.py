"""A strategy at work: one process each, on the store and the trading verbs, watched by the supervisor."""
