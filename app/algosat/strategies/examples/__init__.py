"""Two strategies to read and to try: neither is advice, and neither has an edge."""
