"""Example strategies. Neither is advice, and neither has an edge."""
