"""What went wrong, kept so that a person can look at it."""
