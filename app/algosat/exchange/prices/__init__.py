"""Price paths of the simulated exchange: random walks, and recordings played back."""
