"""Price paths of the simulated exchange: random walks and replayed recordings."""
