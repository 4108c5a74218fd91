"""The simulated exchange: pure functions and seeded draws. Used by the paper broker and the back-test."""
