"""The simulated exchange: pure and seeded; used by the paper broker and the back-test."""
